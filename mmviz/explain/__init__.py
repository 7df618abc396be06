"""The door of the library: inputs in, a `Run` out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mmviz.backends.backend_for_run import chosen_backend
from mmviz.backends.protocol import Stop, never_stop
from mmviz.explain.requested_run import run_request
from mmviz.explain.run import Run
from mmviz.inputs import make_sample
from mmviz.types import Change, Request, Sample, pairs_by_pattern

if TYPE_CHECKING:
    from mmviz.backends import Backend

__all__ = ["Run", "explain", "run_sample"]


def explain(
    image: Any = None, text: str | None = None, audio: Any = None, *, video: Any = None, model: str = "trio",
    backend: Backend | str | None = None, seed: int = 0, relevance: bool = False, steps: bool = False,
    options: Mapping[str, str | int] | None = None, streams: Mapping[str, str] | None = None,
    pairs: Mapping[str, tuple[str, str]] | None = None,
) -> Run:  # fmt: skip
    """Runs a fusion model on an image, a text and audio, any of which may be missing, and records its attention.

    Args:
        image: path, bytes, Pillow image or array, uint8 or float 0 .. 1, ``[height, width, channel]``.
        text: the question or sentence.
        audio: path, bytes or the pair ``(array, rate in Hz)``. Models of Hugging Face may take lists of both.
        video: path or bytes, whose frames take the place of an image.
        model: id of the model, as ``mmviz models`` lists them; ``hf:OWNER/NAME`` or ``hf:FOLDER`` for a checkpoint;
            ``module:factory`` for a custom model, whose code is run; or a folder that ``mmviz train`` wrote. It is made
            once and kept; for one that has changed since, give its name, and the backend
            ``mmviz.LocalBackend(models={name: factory()})``.
        backend: where the model runs: a backend, or the URL of an ``mmviz serve`` (with the access token in the
            environment variable MMVIZ_TOKEN); this machine if None.
        seed: seed for everything random.
        relevance: also record gradient relevance for the winning answer, which needs a backward pass.
        steps: also record the vectors behind every attention weight, for the calculator of the viewer.
        options: ``new_tokens`` (at most), ``system`` (prompt), ``template``, for a model that writes its answer.
        streams: names of streams by glob patterns on the paths of attention modules that attend to themselves, such as
            ``{"vision.*": "image"}``; they overrule those that the model names, and those that mmviz tells from it.
        pairs: the same for any attention, ``{pattern: (stream of the queries, stream of the keys)}``.

    Raises ``InputError`` for an input that cannot be used, ``MmvizError`` for an unknown model, a factory or a backend
    that fails.

    Examples:
        >>> run = mmviz.explain("picture.png", "What is right of the spoken thing?", "voice.wav", relevance=True)
        >>> run.summary()["answer"]
        'fire'
        >>> relevance = run.attention(mmviz.MapRef("relevance"))  # gradient relevance, [token]
        >>> str(run.tokens[relevance.argmax()].modality)
        'image'
    """
    named = tuple((pattern, *pair) for pattern, pair in pairs_by_pattern(streams, pairs).items())
    given: dict[str, Any] = {"pairs": named, "seed": seed, "relevance": relevance, "steps": steps, "options": options}
    return run_sample(
        make_sample(image=image, text=text, audio=audio, video=video), model=model, backend=backend, **given
    )


def run_sample(
    sample: Sample, *, model: str = "trio", backend: Backend | str | None = None, seed: int = 0,
    changes: tuple[Change, ...] = (), relevance: bool = False, steps: bool = False,
    pairs: tuple[tuple[str, str, str], ...] = (), options: Mapping[str, str | int] | None = None,
    answer: tuple[int, ...] = (), answer_part: tuple[int, ...] = (), stop: Stop = never_stop,
) -> Run:  # fmt: skip
    """Runs a model on a checked sample with these fields of `Request`, and towers.

    Raises as `explain` and `run_request`.
    """
    settings = tuple((options or {}).items())
    request = Request(
        model, sample, changes, seed, relevance, steps=steps, towers=True, pairs=pairs, answer=answer,
        answer_part=answer_part, options=settings, depends_on=True,
    )  # fmt: skip
    return run_request(request, chosen_backend(backend, model), stop)
