"""Chooses a call of the model, and a sample of its batch, by number; or says which there are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mmviz.capture.attention_call import AttentionCall
from mmviz.capture.call_maps import CallMap
from mmviz.capture.module_tracker import ModuleTracker
from mmviz.capture.sample_tiles import batches_of
from mmviz.types import CaptureError, Notice


def attention_of_call(
    attention_calls: Sequence[AttentionCall], call: int | None, tracker: ModuleTracker
) -> tuple[AttentionCall, ...]:
    """Returns the attention of one call of the model, in order of execution.

    Raises ``CaptureError``: ``capture-not-run``, ``capture-calls`` where ``call`` is None and there are several,
    ``capture-call`` where there is no such call.
    """
    calls = tracker.calls
    if not calls:
        raise CaptureError("capture-not-run", model=tracker.model_name)
    if call is None:
        numbers = sorted({attention.call for attention in attention_calls})
        if len(numbers) > 1:
            listed = ", ".join(f"{number} {calls[number]}" for number in numbers[:6])
            more = ", …" if len(numbers) > 6 else ""
            raise CaptureError("capture-calls", count=len(calls), last=len(calls) - 1, calls=listed + more)
        call = numbers[0]
    if not 0 <= call < len(calls):
        raise CaptureError("capture-call", call=call, count=len(calls))
    return tuple(attention for attention in attention_calls if attention.call == call)


def nothing_captured(tracker: ModuleTracker, notices: Iterable[Notice]) -> CaptureError:
    """Returns the error of a model that ran without any attention being captured: it names the modules that ran."""
    classes = dict.fromkeys(tracker.class_names[path] for path in tracker.modules_run)
    return CaptureError(
        "capture-nothing", model=tracker.model_name, ran=", ".join(list(classes)[:12]),
        uncaptured_notices="".join(f" {notice}" for notice in notices),
    )  # fmt: skip


def sample_count(maps: Sequence[CallMap]) -> int:
    """Returns the number of samples of a call: that of an input of the model, if an attention runs over as many, or
    else that of the last attention over several."""
    counts = [call_map.samples for call_map in reversed(maps) if call_map.samples > 1]
    runs = maps[0].group.calls[0].runs if counts else ()
    batches = batches_of(runs[0].inputs) if runs else set()
    return next((count for count in counts if count in batches), next(iter(counts), 1))


def check_sample(batch: int | None, samples: int) -> None:
    """Raises ``CaptureError`` (``capture-batch``) for a number that no sample has."""
    if batch is not None and not 0 <= batch < samples:
        raise CaptureError("capture-batch", batch=batch, count=samples)


def chosen_sample(call_map: CallMap, batch: int | None, samples: int) -> int:
    """Returns the sample to view. Raises ``CaptureError`` where there are several and ``batch`` chooses none."""
    if batch is None and call_map.samples > 1:
        raise CaptureError("capture-batch-choose", count=call_map.samples, last=call_map.samples - 1)
    check_sample(batch, samples)
    return batch or 0
