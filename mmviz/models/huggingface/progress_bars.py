"""The progress bars of huggingface_hub and transformers, for someone who watches a model being loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from mmviz.models.loading_watch import LoadingWatch, loading_watch
from mmviz.types import MmvizError


def download_bar() -> Any:
    """Returns the class of progress bars for a download that tells the bytes to who watches; None where nobody does.

    A download ends with ``MmvizError`` (``loading-stopped``) where it is to stop.
    """
    watch = loading_watch()
    return None if watch is None else _bar_class(watch)


def _bar_class(watch: LoadingWatch) -> Any:
    from huggingface_hub.utils.tqdm import tqdm

    class WatchedBar(tqdm):
        """Counts the bytes that are written, shown or not; a bar that counts anything else tells nothing."""

        def __init__(self, *args: Any, **kwargs: Any):
            name = str(kwargs.get("name"))
            self._counts_bytes = kwargs.get("unit") == "B" and not name.endswith(".transfer")
            self._written = int(kwargs.get("initial") or 0)
            super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]

        def update(self, n: float | None = 1) -> bool | None:
            if watch.stop():  # in a thread of the download, where no context variable is set
                raise MmvizError("loading-stopped")
            if self._counts_bytes:
                self._written += int(n or 0)
                watch.progress(self._written, int(self.total or 0))
            shown: bool | None = super().update(n)
            return shown

    return WatchedBar


@contextmanager
def watched_weights() -> Iterator[None]:
    """Tells who watches how many tensors transformers has loaded meanwhile.

    Only one thread may be in it at a time, see `mmviz.models.loading_watch.one_at_a_time`.
    """
    watch = loading_watch()
    if watch is None:
        yield
        return
    from transformers.utils import logging

    def watched(factory: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> _WatchedWeights:
        total = len(args[0]) if args and hasattr(args[0], "__len__") else 0
        return _WatchedWeights(factory(*args, **kwargs), total, watch)

    before = logging.set_tqdm_hook(watched)
    try:
        yield
    finally:
        logging.set_tqdm_hook(before)


class _WatchedWeights:
    """A progress bar that also tells who watches."""

    def __init__(self, bar: Any, total: int, watch: LoadingWatch):
        self._bar, self._total, self._watch = bar, total, watch

    def __iter__(self) -> Iterator[Any]:
        for done, item in enumerate(self._bar):
            if self._watch.stop():
                raise MmvizError("loading-stopped")
            self._watch.progress(done, self._total)
            yield item

    def __getattr__(self, name: str) -> Callable[..., Any]:
        attribute: Callable[..., Any] = getattr(self._bar, name)
        return attribute

    def __enter__(self) -> _WatchedWeights:
        self._bar.__enter__()
        return self

    def __exit__(self, *problem: object) -> None:
        self._bar.__exit__(*problem)
