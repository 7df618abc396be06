"""A record's attention as it is kept for views of its parts."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mmviz.capture.seen import Seen
from mmviz.types import Columns, Rows, View, Zoom


class Kept:
    """Answers views of what ``seen`` heard in one call, of one sample of the batch."""

    def __init__(self, seen: Seen, call: int | None = None, batch: int = 0):
        self.seen, self.call, self.batch = seen, call, batch
        self.maps = [seen.view(number, call=call, batch=batch) for number in range(len(seen.heard(call)))]

    @property
    def nbytes(self) -> int:
        """Bytes of the tensors that are kept, each counted once."""
        found = {}
        for one in self.seen.heard(self.call):
            for tensor in (one.weights, one.query, one.key, one.value, one.mask, one.mixed, one.lse):
                if tensor is not None:
                    storage = tensor.untyped_storage()
                    found[storage.data_ptr()] = storage.nbytes()
        return sum(found.values())

    def view(self, view: View) -> NDArray[np.float32]:
        """The numbers of ``view``. Raises ``CaptureError`` for what is not there."""
        if isinstance(view, Rows):
            return self.maps[view.map].rows(view.tokens, view.head)
        if isinstance(view, Columns):
            return self.maps[view.map].columns(view.tokens, view.head)
        if isinstance(view, Zoom):
            return self.maps[view.map].zoom(view.query_edges, view.key_edges, view.head)
        direction: Literal["from", "to"] = view.direction
        return self.seen.rollout(view.tokens, direction, call=self.call, batch=self.batch)
