"""A custom model: any torch module with a function that prepares its inputs."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from torch import Tensor, nn

from mmviz.models.answer_labels import answer_labels
from mmviz.models.batched_token_lists import split_rows
from mmviz.models.lens_readout import LensModules, LensReadout, Read, detected_readout
from mmviz.models.nested_inputs import concatenated, to_device
from mmviz.models.protocol import AnswerToken, BatchOutput, CaptureTargets, Prepared
from mmviz.models.user_code_errors import description, user_code
from mmviz.models.weight_devices import input_device, is_spread, weights_digest
from mmviz.types import INPUT_MODALITIES, Card, MmvizError, Modality, Sample, Token, pairs_by_pattern

TOP = 1_000
"""Answers that a record keeps of a larger vocabulary."""
Tokens = Sequence[str | Token] | Mapping[str, Sequence[str | Token] | Sequence[Sequence[str | Token]]]


class CustomModel:
    """A torch module as a model of mmviz. Every attention that is captured in it is recorded.

    Args:
        module: The model; it is put into eval mode.
        prepare: ``prepare(sample)`` returns ``(inputs, tokens)``. Inputs are what the module is called with: a tensor,
            a tuple (positional arguments) or a mapping (keyword arguments), with a batch of one. Tokens are those that
            attention runs over, strings or `mmviz.Token`, of one stream, or a mapping of several streams. A stream of
            which the module takes a batch, such as several texts for one image, has a list of tokens for each row; the
            row of the most probable answer is shown where the rows are the answers, else the first.
        answers: A label for each logit, or the tokenizer of a language model, whose vocabulary they then are.
        logits: ``logits(output)`` returns the logits ``[answer]`` of the module's output. Without it the output is a
            tensor, or has ``.logits``; axes of length 1 before the last are dropped, and of logits ``[1, token,
            answer]`` those of ``answer_token`` are taken, of a language model by default those of the last token.
        top: Answers that a record keeps, the most probable ones; probabilities are those among all answers.
        answer_token: The token that answers, from which attention is shown first: an index (-1: the last),
            ``(stream, index)``, or a function of the tokens that returns one of them. By default mmviz chooses.
        streams: Names of the streams by glob patterns on the paths of attention modules that attend to themselves, such
            as ``{"vision_model.*": "image"}``. By default they are told from what the model computes.
        pairs: The same for any attention, ``{pattern: (stream of the queries, stream of the keys)}``.
        required: Modalities that cannot be missing, such as ``("image",)``. Experiments leave them in.
        only: Glob patterns on module paths: attention is captured only in modules that match, and the modules in
            them, see `mmviz.capture`. By default it is captured in all.
        exclude: Glob patterns of modules in which attention is not captured, such as ``"*.router"``.
        embedding: The place whose tokens ``[1, token, width]`` enter the layers, for integrated gradients: the path of
            a module for its output, or ``"PATH:input"`` for its first input that is such a tensor. Images whose
            patches are written over the embedded words need the latter. A mapping from the names of streams to places
            gives integrated gradients for the tokens of each, such as ``{"image": "vision.blocks.0:input"}`` for the
            patches that enter a tower; there packed pictures may also stand as ``[token, width]``.
        lens_layers: The path of the list of layers after which a lens reads the tokens (`mmviz.experiments.lens`). It
            is detected by default, as are norm and head; a lens that does not end with the answer is refused.
        lens_norm: The path of the final norm through which it reads them.
        lens_head: The path of the head; or a function of hidden states ``[token, width]`` that returns logits
            ``[token, answer]``, in place of norm and head.
        batches: Whether samples may share a call: their inputs are joined along the first axis where all shapes are
            equal, the module returns a row of logits for each, and no row depends on another.

    Inputs go to the device of the module's first parameter. A module whose weights are spread over several devices is
    not moved. Raises ``MmvizError``: ``own-module``, ``own-answers``, ``own-embedding``, ``own-place``,
    ``own-pattern``, ``own-required-name``, ``stream-names``, ``lens-path``.

    Examples:
        >>> layers = torch.nn.TransformerEncoder(torch.nn.TransformerEncoderLayer(32, 4, batch_first=True), 2)
        >>> module = torch.nn.Sequential(layers, torch.nn.Linear(32, 2))
        >>> def prepare(sample):
        ...     words = sample.text.split()
        ...     return torch.randn(1, len(words), 32), words
        >>> model = mmviz.CustomModel(module, prepare, ["yes", "no"], answer_token=-1, trained=False)
        >>> backend = mmviz.LocalBackend(models={"own": model})
        >>> run = mmviz.explain(text="a red ball", model="own", backend=backend)
        >>> [attn_map.weights.shape for attn_map in run.record.maps]  # [head, query, key]
        [(4, 3, 3), (4, 3, 3)]
    """

    capture_targets: CaptureTargets | None = None
    """None: every attention that is captured is recorded."""

    def __init__(
        self, module: nn.Module, prepare: Callable[[Sample], tuple[Any, Tokens]], answers: Any, *,
        name: str = "own", about: str = "", trained: bool = True, logits: Callable[[Any], Tensor] | None = None,
        top: int = TOP, answer_token: AnswerToken | Callable[[Tokens], AnswerToken] = None,
        streams: Mapping[str, str] | None = None, pairs: Mapping[str, tuple[str, str]] | None = None,
        required: Sequence[str] = (), only: str | Sequence[str] = (), exclude: str | Sequence[str] = (),
        embedding: str | Mapping[str, str] | None = None, batches: bool = False, lens_layers: str | None = None,
        lens_norm: str | None = None, lens_head: str | Read | None = None,
    ):  # fmt: skip
        if not isinstance(module, nn.Module):
            raise MmvizError("own-module", kind=type(module).__name__)
        self.module = module.eval()
        self.embedding = (
            {stream: _checked_place(module, place) for stream, place in embedding.items()}
            if isinstance(embedding, Mapping) else _checked_place(module, embedding)
        )  # fmt: skip
        self.lens_modules = LensModules(lens_layers, lens_norm, lens_head)
        self.lens_modules.check(module)
        self.top, self.answer_token = top, answer_token
        self.only, self.exclude = only, exclude
        self.takes_batches = batches
        self.pairs = pairs_by_pattern(streams, pairs)
        for option, patterns in (("streams", streams or {}), ("pairs", pairs or {})):
            _check_patterns(module, option, patterns)
        self.required = tuple(_modality(value) for value in ([required] if isinstance(required, str) else required))
        self._prepare, self._logits = prepare, logits
        details = {"required": [str(modality) for modality in self.required]} if self.required else {}
        self._writes = callable(getattr(answers, "decode", None))
        """Whether the answers are a vocabulary, of which the last token tells the next."""
        labels = answer_labels(answers, module)
        self.card = Card(name, name, about, trained, labels, weights_digest(module), details)

    @property
    def device(self) -> str:
        """The device of the module's inputs, wherever it lies now: its owner may move it."""
        return str(input_device(self.module))

    def to(self, device: str) -> CustomModel:
        """Moves the module to ``device`` and returns the model; one that is spread over devices stays where it is."""
        if not is_spread(self.module):
            self.module.to(device)
        return self

    def prepare(self, sample: Sample) -> Prepared:
        """Returns inputs and tokens of one sample.

        Raises ``MmvizError`` (``own-raised``, ``own-prepare``, ``own-rows``, ``own-answer-token``; ``own-required``
        for a sample that lacks a required modality).
        """
        given = {Modality.IMAGE: sample.image, Modality.TEXT: sample.text, Modality.AUDIO: sample.audio}
        for modality in self.required:
            if given[modality] is None:
                raise MmvizError("own-required", model=self.card.title, modality=str(modality))
        with user_code("prepare"):
            prepared = self._prepare(sample)
        if not isinstance(prepared, tuple) or len(prepared) != 2 or not isinstance(prepared[1], Sequence | Mapping):
            raise MmvizError("own-prepare", kind=description(prepared))
        inputs, tokens = prepared
        streams, rows = split_rows(tokens)
        return Prepared(to_device(inputs, self.device), streams, answer_token=self._answer_token(streams), rows=rows)

    def __call__(self, tensors: Any) -> Tensor:
        """Returns logits ``[answer]``. Raises ``MmvizError`` (``own-raised``, ``own-output``, ``own-logits``)."""
        logits = self._logits_of(tensors)
        while logits.dim() > 1 and logits.shape[0] == 1:
            logits = logits[0]
        if logits.shape != (len(self.card.answers),):
            raise MmvizError("own-logits", shape=list(logits.shape), answers=len(self.card.answers))
        return logits

    def lens_readout(self, tensors: Any) -> LensReadout:
        """Returns how hidden states become answers, as named, or as detected in one call of the module.

        Raises ``MmvizError`` (``lens-undetected``).
        """
        answers = self.card.answers
        return detected_readout(
            self.module, lambda: self._logits_of(tensors), len(answers), answers.__getitem__, self.lens_modules
        )

    def join(self, rows: Sequence[Prepared]) -> Any:
        """Returns the inputs of all rows as one batch; None where their shapes differ."""
        return concatenated([row.tensors for row in rows])

    def batch(self, tensors: Any, rows: int) -> Tensor | None:
        """Returns logits ``[row, answer]``; None where the model does not return one row per sample."""
        logits, answers = self._logits_of(tensors), len(self.card.answers)
        if logits.shape[:1] != (rows,) or logits.numel() != rows * answers or logits.shape[-1] != answers:
            return None
        return logits.reshape(rows, answers)

    def batch_output(self, tensors: Any, rows: int) -> BatchOutput:
        """Returns the logits of a batch, which has no padding. Raises ``MmvizError`` (``own-logits``)."""
        logits = self.batch(tensors, rows)
        if logits is None:
            raise MmvizError("own-logits", shape=[rows], answers=len(self.card.answers))
        return BatchOutput(logits, {})

    def _logits_of(self, tensors: Any) -> Tensor:
        with user_code("the model"):
            if isinstance(tensors, Mapping):
                output = self.module(**tensors)
            else:
                output = self.module(*tensors) if isinstance(tensors, tuple) else self.module(tensors)
            logits = self._logits(output) if self._logits else getattr(output, "logits", output)
        if not isinstance(logits, Tensor):
            raise MmvizError("own-output", kind=description(logits))
        return logits if self._logits else self._of_answer_token(logits)

    def _of_answer_token(self, logits: Tensor) -> Tensor:
        """Returns the logits at the token that answers, of logits ``[row, token, answer]``; any others unchanged."""
        index = self.answer_token[1] if isinstance(self.answer_token, tuple) else self.answer_token
        if index is None and self._writes:
            index = -1
        if logits.dim() != 3 or not isinstance(index, int) or not -logits.shape[1] <= index < logits.shape[1]:
            return logits
        return logits[:, index]

    def _answer_token(self, streams: Mapping[str, Sequence[str | Token]] | Sequence[str | Token]) -> AnswerToken:
        """Returns the token that answers, counted from 0 where its stream is known."""
        token = self.answer_token
        if callable(token):
            with user_code("answer_token"):
                token = token(streams)
        if token is None:
            return None
        named = streams if isinstance(streams, Mapping) else {"tokens": streams}
        stream, index = token if isinstance(token, tuple) and len(token) == 2 else (None, token)
        counts = {name: len(tokens) for name, tokens in named.items() if stream in (None, name)}
        is_index = isinstance(index, int) and not isinstance(index, bool)
        if not is_index or not any(-count <= index < count for count in counts.values()):
            known = ", ".join(f"{name} ({len(tokens)})" for name, tokens in named.items())
            raise MmvizError("own-answer-token", token=token, streams=known)
        if len(counts) > 1:
            return index
        (name,) = counts
        index %= counts[name]
        return (name, index) if isinstance(streams, Mapping) else index


def _checked_place(module: nn.Module, place: Any) -> Any:
    """Returns the place where tokens enter. Raises ``MmvizError`` where it names no module, or no side of one."""
    path, _, side = (place or "").partition(":")
    if place is not None and side not in ("", "input"):
        raise MmvizError("own-place", path=place)
    if place is not None and path not in dict(module.named_modules()):
        raise MmvizError("own-embedding", path=path)
    return place


def _check_patterns(module: nn.Module, option: str, patterns: Mapping[str, object]) -> None:
    paths = [path for path, _ in module.named_modules() if path]
    for pattern in patterns:
        if not any(fnmatchcase(path, pattern) for path in paths):
            known = ", ".join(difflib.get_close_matches(pattern, paths, 8, cutoff=0))
            raise MmvizError("own-pattern", option=option, pattern=pattern, known=known)


def _modality(name: str) -> Modality:
    if name not in INPUT_MODALITIES:
        raise MmvizError("own-required-name", name=name)
    return Modality(name)
