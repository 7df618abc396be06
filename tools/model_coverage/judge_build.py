"""Judges what capture recorded of a build: numbers by the model's own eager weights, their meaning by its config."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

import mmviz
from mmviz.types import AttentionMap, AttentionRecord, CaptureError, Notice, PooledMap
from tools.model_coverage.captured_run import (
    Trial,
    captured,
    computes_the_same,
    definition_difference,
    reference,
    trials,
)
from tools.model_coverage.eager_reference import EagerReference
from tools.model_coverage.expected_weights import expected_weights, valid_rows
from tools.model_coverage.model_build import BATCH, ExpectedStack, ModelBuild

EACH_LAYER = "of each layer"
"""How the names of streams end that every layer makes anew, such as keys that it pools."""
PARTIAL = f" in part, {EACH_LAYER}"
"""The same, for attention that may be left out: what is recorded of it must not bear the tokens of others."""

DEFINITION = 2e-6
"""Largest difference allowed between weights and a float64 softmax of the very queries, keys and mask."""

SAME_OUTPUT = 1e-3
"""Largest difference allowed between the outputs of eager code and of others, relative to the largest output."""


@dataclass
class StackOutcome:
    """What became of one stack of attention, over all trials."""

    stack: ExpectedStack
    recorded: int = 0
    """Maps that were recorded."""
    parity: float = 0.0
    """The largest difference of a recorded map from the model's own eager weights."""
    compared: int = 0
    """Maps that were compared with the model's own weights; elsewhere it returns none."""
    left_out: dict[str, int] = field(default_factory=dict)
    """Reasons in notices why maps are left out, and how often."""
    heads: set[int] = field(default_factory=set)
    """The numbers of heads of its maps."""
    wrong: dict[str, str] = field(default_factory=dict)
    """What is silently wrong, with the first trial that shows it."""


@dataclass
class BuildOutcome:
    """What became of a build, over all trials."""

    build: ModelBuild
    stacks: list[StackOutcome]
    definition: float = 0.0
    """See `definition_difference`."""
    routes: dict[str, None] = field(default_factory=dict)
    trials: list[str] = field(default_factory=list)
    not_compared: dict[str, str] = field(default_factory=dict)
    """Why maps of a trial were not compared with the model's own weights, with the first trial."""
    notices: dict[str, str] = field(default_factory=dict)
    """Notices, by the trial that first shows them."""
    wrong: dict[str, str] = field(default_factory=dict)
    """What is wrong of the build as a whole."""

    @property
    def all_wrong(self) -> dict[str, str]:
        """What is silently wrong, in the build and in its stacks."""
        parts = [(outcome.stack.path, outcome.wrong) for outcome in self.stacks]
        return self.wrong | {f"{path}: {what}": trial for path, wrong in parts for what, trial in wrong.items()}

    @property
    def is_whole(self) -> bool:
        """Whether every softmax over tokens is recorded, and nothing is wrong."""
        return not self.all_wrong and all(stack.recorded and not stack.left_out for stack in self.stacks)


def judge_build(build: ModelBuild) -> BuildOutcome:
    """Tries a build in every way and returns what became of it."""
    outcome = BuildOutcome(build, [StackOutcome(stack) for stack in build.stacks])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # tiny tensors on several threads wait for each other more than they compute
    try:
        for trial in trials(build):
            outcome.trials.append(str(trial))
            try:
                _judge_trial(outcome, trial)
            except CaptureError as problem:  # of a record of which no map is left, the reason is told
                if problem.code.startswith("axes-"):
                    for stack in outcome.stacks:
                        stack.left_out[_starred(str(problem))] = 1
                else:
                    outcome.wrong.setdefault(f"refused: {problem}", str(trial))
    finally:
        torch.set_num_threads(threads)
    return outcome


def _judge_trial(outcome: BuildOutcome, trial: Trial) -> None:
    build = outcome.build
    own, own_output = reference(build, trial)
    model, result, output, same = captured(build, trial)
    if not computes_the_same(own_output, output, SAME_OUTPUT if build.tolerance <= DEFINITION else 1.0):
        outcome.not_compared.setdefault("its eager code computes something else", str(trial))
        own.weights.clear()
    if not same:
        outcome.wrong.setdefault("the output of the model changes", str(trial))
    outcome.definition = max(outcome.definition, definition_difference(result))
    if outcome.definition > DEFINITION:
        outcome.wrong.setdefault("weights are not the softmax of the very queries and keys", str(trial))
    calls = sorted({attention.call for attention in result.all_attention_calls}) or [0]
    for call in calls:
        samples = [_record(result, call, sample) for sample in range(BATCH)]
        for notice in samples[0].notices:
            outcome.notices.setdefault(str(notice), str(trial))
        for route in samples[0].made_by.get("routes", ()):
            outcome.routes[route] = None
        _CallCheck(outcome, trial, model, own, call, samples, _record(result, call, None)).run()


def _record(result: mmviz.capture.CaptureResult, call: int, sample: int | None) -> AttentionRecord:
    """Returns the record of a sample; an empty one where no attention was captured, as its notices say."""
    if result.all_attention_calls:  # a call of a tower that packs all pictures has a single sample
        return result.record(call=call, batch=sample if result.samples(call) > 1 else None)
    return AttentionRecord("", {}, (), (), {}, result.notices)


class _CallCheck:
    """The check of one call of a model."""

    def __init__(
        self, outcome: BuildOutcome, trial: Trial, model: nn.Module, own: EagerReference, call: int,
        samples: list[AttentionRecord], whole: AttentionRecord,
    ):  # fmt: skip
        self.outcome, self.trial, self.model, self.own = outcome, trial, model, own
        self.call, self.samples, self.whole = call, samples, whole
        self.names: dict[str, set[str]] = {}
        """The streams of the record, by those that are expected."""
        self.stack_of: dict[tuple[str, int], tuple[str, list[tuple[int, int]]]] = {}
        """The expected tower, and the layers with the numbers in their paths; by stack of the record and part."""
        self.unexpected = list(samples[0].maps)

    def run(self) -> None:
        for stack in self.outcome.stacks:
            self._check_stack(stack)
        for attn_map in self.unexpected:
            self._wrong(None, f"recorded in {_starred(attn_map.name)}, which is no attention over tokens")
        for expected, names in self.names.items():
            if len(names) > 1 and not self.trial.generates and not expected.endswith(EACH_LAYER):
                self._wrong(None, f"the stream {expected} has several names: {', '.join(sorted(names))}")
            for other, other_names in self.names.items():
                if _place(other) < _place(expected) and names & other_names:
                    self._wrong(None, f"{other} and {expected} share the stream {', '.join(names & other_names)}")
        for (name, _), (_, layers) in self.stack_of.items():
            counts, in_paths = [layer for layer, _ in layers], [number for _, number in layers]
            if counts not in (list(range(len(layers))), in_paths):
                self._wrong(None, f"the layers of the stack {name!r} count {counts}")

    def _check_stack(self, outcome: StackOutcome) -> None:
        stack = outcome.stack
        pattern = re.compile(re.escape(stack.path).replace(r"\*", r"\d+") + r"(\..*)?")
        of_path = [attn_map for attn_map in self.samples[0].maps if pattern.fullmatch(attn_map.name)]
        maps = of_path[stack.part :: stack.parts]
        self.unexpected = [attn_map for attn_map in self.unexpected if attn_map not in maps]
        modules = [path for path, _ in self.model.named_modules() if pattern.fullmatch(path)]
        modules = [path for path in modules if not any(path.startswith(f"{other}.") for other in modules)]
        own = {path: self._own(stack, path) for path in modules}
        depth = self.outcome.build.count(stack.depth, self.model)
        runs = any(own.values()) or not self.trial.generates
        if not maps:
            if runs:
                self._left_out(outcome, modules[:1] or [stack.path])
            return
        absent = [path for path in modules if not any(_lies_in(attn_map.name, path) for attn_map in maps)]
        absent = [path for path in absent if own[path] or not any(own.values())]
        if absent and len(modules) > 1:
            self._left_out(outcome, absent)
        outcome.recorded += len(maps)
        per_layer = max(1, len(maps) // depth) if not absent else 1
        if not absent and len(maps) % depth:
            self._wrong(outcome, f"{len(maps)} maps of {depth} layers")
        self._check_names(outcome, maps, per_layer)
        for number, attn_map in enumerate(maps):
            holders = [place for place, path in enumerate(modules) if _lies_in(attn_map.name, path)]
            self._check_map(outcome, attn_map, holders[0] if len(modules) > 1 and holders else number // per_layer)

    def _own(self, stack: ExpectedStack, module: str) -> list[Tensor]:
        """Returns the weights of a module by its own code."""
        own = self.own.of_module(self.call, module)
        return own[stack.part :: stack.parts] if len(own) >= stack.parts else own

    def _left_out(self, outcome: StackOutcome, modules: Iterable[str]) -> None:
        for module in modules:
            reasons = [notice for notice in self.samples[0].notices if _names_module(notice, module)]
            if not reasons:
                self._wrong(outcome, "missing without a notice")
            for notice in reasons:
                text = _starred(str(notice))
                outcome.left_out[text] = outcome.left_out.get(text, 0) + 1

    def _check_names(self, outcome: StackOutcome, maps: list[AttentionMap | PooledMap], per_layer: int) -> None:
        """Checks streams, stacks and layers."""
        stack = outcome.stack
        names = {attn_map.stack for attn_map in maps}
        made_anew = any(stream.endswith(EACH_LAYER) for stream in (stack.queries, stack.keys))
        if len(names) > 1 and not stack.tower and not stack.why_left_out and not made_anew:
            self._wrong(outcome, f"it is split into the stacks {', '.join(sorted(names))}")
        tower = stack.tower or (stack.path if stack.parts == 1 else f"part {stack.part} of {stack.path}")
        for number, attn_map in enumerate(maps):
            if not attn_map.stack and len(self.outcome.stacks) > 1:
                self._wrong(outcome, "its stack has no name")
            name, layers = self.stack_of.setdefault((attn_map.stack, stack.part), (tower, []))
            if name != tower:
                self._wrong(outcome, f"it shares the stack {attn_map.stack!r} with {name}")
            if number % per_layer == 0:
                layers.append((attn_map.layer, _number_in(attn_map.name)))
            elif layers and attn_map.layer != layers[-1][0]:
                self._wrong(outcome, "several maps of one run of a module are taken for layers")
            streams = self.samples[0].streams
            queries, keys = attn_map.queries, attn_map.keys
            expected = f"{stack.keys or stack.queries}{PARTIAL if stack.why_left_out else ''}"
            self.names.setdefault(expected, set()).add(keys)
            if stack.why_left_out:
                continue
            if stack.keys:
                self.names.setdefault(stack.queries, set()).add(queries)
            elif queries != keys:
                count = len(streams[queries])
                if count == len(streams[keys]) and not stack.queries.endswith(EACH_LAYER):
                    self._wrong(outcome, "it attends to itself, but its queries and keys are two streams")
                elif tuple(streams[queries]) != tuple(streams[keys])[-count:]:
                    self._wrong(outcome, "its queries are not the last tokens of its keys")

    def _check_map(self, outcome: StackOutcome, attn_map: AttentionMap | PooledMap, layer: int) -> None:
        """Checks axes and numbers."""
        stack, build = outcome.stack, self.outcome.build
        heads = build.count(stack.heads, self.model)
        position = self.samples[0].maps.index(attn_map)
        whole = self.whole.maps[position]
        if not isinstance(whole, AttentionMap) or not isinstance(attn_map, AttentionMap):
            return self._wrong(outcome, "it is pooled")
        outcome.heads.add(attn_map.heads)
        if attn_map.heads != heads:
            return self._wrong(outcome, f"{attn_map.heads} heads where the config has {heads}")
        if stack.why_left_out:
            return None
        if not stack.packed and (whole.weights.ndim != 4 or len(whole.weights) != BATCH):
            count = len(whole.weights) if whole.weights.ndim == 4 else 1
            self._wrong(outcome, f"{count} samples where {BATCH} were given")
        for sample, record in enumerate(self.samples):
            recorded = record.maps[position].weights
            own = self._own(stack, attn_map.name)
            expected = expected_weights(build, stack, own, layer, sample, recorded.shape)
            counts: Sequence[int] | None = None
            if not self.trial.generates:
                counts = [build.streams[stack.queries], build.streams[stack.keys or stack.queries]]
            elif expected is not None:
                counts = expected.shape[-2:]
            if counts and not stack.packed and list(recorded.shape[-2:]) != list(counts):
                shapes = ["×".join(map(str, shape)) for shape in (recorded.shape[-2:], counts)]
                return self._wrong(outcome, "{} tokens where the tower has {}".format(*shapes))
            if expected is None:
                continue
            if expected.shape != recorded.shape:
                return self._wrong(outcome, f"weights {recorded.shape} where its own are {expected.shape}")
            rows = valid_rows(build, stack, self.trial, sample, recorded.shape[-2])
            difference = float(np.abs(recorded - expected)[:, rows].max(initial=0))
            outcome.parity = max(outcome.parity, difference)
            outcome.compared += 1
            if not difference <= build.tolerance:
                self._wrong(outcome, "weights differ from its own by more than the tolerance")
        if stack.windows is not None and stack.key_windows is None and len(stack.windows(layer)) > 1:
            groups = {frozenset(window.tolist()) for window in stack.windows(layer)}
            numbers = np.asarray(attn_map.windows)
            if {frozenset(np.flatnonzero(numbers == number).tolist()) for number in set(attn_map.windows)} != groups:
                self._wrong(outcome, "its windows are not told")

    def _wrong(self, outcome: StackOutcome | None, what: str) -> None:
        (self.outcome.wrong if outcome is None else outcome.wrong).setdefault(what, str(self.trial))


def _starred(text: str) -> str:
    """Returns ``text`` with ``*`` in place of the numbers in module paths."""
    return re.sub(r"(?<=\.)\d+(?=\.|\b)", "*", text)


def _place(stream: str) -> str:
    """Returns the first part of a stream's name: ``image`` and ``image, embedded`` may be one stream of a record."""
    return stream.partition(",")[0]


def _number_in(path: str) -> int:
    """Returns the number of the layer in a module path, the last one; 0 where there is none."""
    numbers = re.findall(r"\.(\d+)(?=\.|$)", f".{path}")
    return int(numbers[-1]) if numbers else 0


def _lies_in(inner: str, outer: str) -> bool:
    return inner == outer or inner.startswith(f"{outer}.")


def _names_module(notice: Notice, module: str) -> bool:
    values = [value for value in notice.parameters.values() if isinstance(value, str)]
    return any(_lies_in(value, module) or _lies_in(module, value) for value in values)
