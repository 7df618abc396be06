"""The prompt of a chat model, and what each of its tokens is."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mmviz.models.huggingface.families import Family
from mmviz.models.huggingface.template_limits import limited_prompt
from mmviz.types import Chars, MmvizError, Modality, Notice, Sample, Token, VideoPatch

_LONGEST_END = 12
"""Characters that a processor may put after a prompt."""
_MARK = "\ue000"
"""A character of no alphabet, behind a question whose place in a prompt is looked for."""


@dataclass(frozen=True)
class Prompt:
    """The prompt of a model."""

    text: str
    """The whole prompt, with one placeholder for each picture and sound."""
    question: str
    """The part of it that the user wrote; empty where the template has no place for a question."""
    after: int = 0
    """Characters that follow it there."""
    has_video: bool = False
    """Whether the frames of a video are one video in it, for the processor of videos, and not pictures."""


def own_template(processor: Any) -> str:
    """Returns the chat template of a checkpoint; "" where it has none."""
    owners = (processor, getattr(processor, "tokenizer", None))
    return str(next(filter(None, (getattr(owner, "chat_template", None) for owner in owners)), ""))


def chat_prompt(
    processor: Any, family: Family, sample: Sample, system: str = "", template: str = "",
    written: dict[str, str] | None = None,
) -> Prompt:  # fmt: skip
    """Returns the prompt for what is in ``sample``: by a chat template in Jinja, or by the family's plain prompt.

    ``written``: the prompts that this template made of other samples, by its variables; a new one is added.

    The frames of a video are pictures where the processor has none for videos, or the template no place for one. Raises
    ``MmvizError`` where it cannot be filled in (``hf-template``), or takes too much (``hf-template-limit``).
    """
    question = sample.text or ""

    def text_for(question: str, has_video: bool) -> str:
        asked = replace(sample, text=question)
        return _prompt_text(processor, family, asked, system, template, {} if written is None else written, has_video)

    has_video = is_video(sample) and getattr(processor, "video_processor", None) is not None
    text = text_for(question, has_video)
    if has_video and text.count(str(getattr(processor, "video_token", ""))) != 1:
        has_video, text = False, text_for(question, has_video=False)
    is_edited = template != own_template(processor)
    if question.strip() and is_edited and _MARK not in text_for(_MARK, has_video):  # all words are the template's own
        return Prompt(text, "", 0, has_video)
    return Prompt(text, question, _after(text, question, lambda marked: text_for(marked, has_video)), has_video)


def is_video(sample: Sample) -> bool:
    """Returns whether the picture of a sample is a video: a sheet of its frames."""
    parts = sample.image.parts if sample.image is not None else ()
    return bool(parts) and all(isinstance(part, VideoPatch) for part in parts)


def _after(text: str, question: str, text_for: Callable[[str], str]) -> int:
    """Returns how many characters follow the question in the prompt ``text``; ``text_for`` returns that of another."""
    asked = _repeated(text, question)
    place = text.rfind(asked)
    if asked and place != text.find(asked):  # the template has such words, too
        marked = text_for(question + _MARK)
        after = len(marked) - marked.rfind(_MARK) - 1
        if _MARK in marked and text[: len(text) - after].endswith(asked):
            return after
    return len(text) - place - len(asked)


def _repeated(text: str, question: str) -> str:
    """Returns the question as a prompt repeats it: some templates leave out white space around it."""
    return question if question in text else question.strip()


def _prompt_text(
    processor: Any, family: Family, sample: Sample, system: str, template: str, written: dict[str, str],
    has_video: bool,
) -> str:  # fmt: skip
    question = sample.text or ""
    pictures, sounds = (0 if given is None else max(1, len(given.parts)) for given in (sample.image, sample.audio))
    kind, pictures = ("video", 1) if has_video else ("image", pictures)
    image = str(getattr(processor, f"{kind}_token", "")) * pictures
    audio = str(getattr(processor, "audio_token", "")) * sounds
    if not template:
        plain = family.prompt or "{image}{audio}{text}"
        return plain.format(image=image, audio=audio, text=question)
    content = [{"type": kind}] * pictures
    content += [{"type": "audio", "audio": ""}] * sounds
    content += [{"type": "text", "text": question}] if question else []
    messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
    if system:
        messages.insert(0, {"role": "system", "content": [{"type": "text", "text": system}]})
    if family.has_plain_messages:
        messages[-1]["content"] = f"{image}{audio}{question}"
        if system:
            messages[0]["content"] = system
    if template != own_template(processor):
        tokenizer = getattr(processor, "tokenizer", processor)
        given = {"messages": messages, "tools": None, "documents": None, "add_generation_prompt": True}
        variables = tokenizer.special_tokens_map | given
        key = json.dumps(variables)
        if key not in written:
            written[key] = limited_prompt(template, variables)
        return written[key]
    try:
        text = processor.apply_chat_template(
            messages, chat_template=template, add_generation_prompt=True, tokenize=False
        )
    except Exception as problem:  # Jinja and the template itself raise what they like
        raise MmvizError("hf-template", why=f"{type(problem).__name__}: {problem}"[:200]) from problem
    return str(text)


def question_notices(prompt: Prompt, question: str) -> tuple[Notice, ...]:
    """Returns a notice where ``prompt`` does not hold the question, whose words then have no places in it."""
    asked = question.strip()
    is_there = not asked or (bool(prompt.question) and asked in prompt.text)
    return () if is_there else (Notice("hf-question-changed"),)


def placeholder_ids(processor: Any) -> dict[int, Modality]:
    """Returns the ids of the tokens that stand for pictures and sounds."""
    ids: dict[int, Modality] = {}
    for kind, modality in (("image", Modality.IMAGE), ("video", Modality.IMAGE), ("audio", Modality.AUDIO)):
        for name in (f"{kind}_token_ids", f"{kind}_token_id"):
            value = getattr(processor, name, None)
            values = value if isinstance(value, list | tuple) else [value]
            ids.update({int(number): modality for number in values if number is not None})
        if modality not in ids.values():  # some know the token alone
            token = str(getattr(processor, f"{kind}_token", None) or "")
            tokenizer = getattr(processor, "tokenizer", processor)
            ids.update({tokenizer.convert_tokens_to_ids(token): modality} if token else {})
    return ids


def prompt_tokens(
    tokenizer: Any, ids: Sequence[int], offsets: Sequence[tuple[int, int]] | None, prompt: Prompt,
    placeholders: Mapping[int, Modality],
) -> list[Token]:  # fmt: skip
    """Returns the token of each id, those of pictures and sounds without a location.

    ``offsets``: the characters of each token in what was tokenized, or None where the tokenizer does not tell.
    """
    first_of_text = 0 if offsets is None else _first_of_last_text(offsets)
    before = prompt.question.index(_repeated(prompt.text, prompt.question))
    start, end = _question_span(tokenizer, ids[first_of_text:], offsets and offsets[first_of_text:], prompt)
    tokens = []
    for number, token_id in enumerate(ids):
        modality = placeholders.get(int(token_id))
        label = token_label(tokenizer, token_id)
        if modality is not None:
            tokens.append(Token(modality, label))
            continue
        edges = (0, 0) if offsets is None or number < first_of_text else offsets[number]
        first, last = (int(edge) for edge in edges)
        first, last = max(first, start), min(last, end)
        if first < last:
            chars = Chars(first - start + before, last - start + before)
            tokens.append(Token(Modality.TEXT, prompt.question[chars.start : chars.end], chars))
        else:
            tokens.append(Token(Modality.SPECIAL, label))
    return tokens


def token_label(tokenizer: Any, token_id: int) -> str:
    """Returns the text of one token; one without a text of its own is labelled ``#id``."""
    return str(tokenizer.decode([int(token_id)])) or f"#{token_id}"


def _first_of_last_text(offsets: Sequence[tuple[int, int]]) -> int:
    """Returns the first token of the last text, where a processor tokenizes several by themselves: each begins at 0."""
    first, latest = 0, 0
    for number, (start, end) in enumerate(offsets):
        if start < end:
            first, latest = (number if start < latest else first), start
    return first


def _question_span(
    tokenizer: Any, ids: Sequence[int], offsets: Sequence[tuple[int, int]] | None, prompt: Prompt
) -> tuple[int, int]:  # fmt: skip
    """Returns where the question stands in what was tokenized: counted from the end, as placeholders grow before it.

    Returns an empty span where the prompt lacks it, or the tokens there are not those of the question.
    """
    question = _repeated(prompt.text, prompt.question)
    if not question or offsets is None or question not in prompt.text:
        return 0, 0
    length = max(int(last) for _, last in offsets)
    wanted = "".join(question.split()).casefold()  # some tokenizers write all in small letters
    for more in range(_LONGEST_END):
        end = length - prompt.after - more
        start = end - len(question)
        inside = [token_id for token_id, (a, b) in zip(ids, offsets, strict=True) if a < end and b > start and a < b]
        if start >= 0 and "".join(str(tokenizer.decode(inside)).split()).casefold() == wanted:
            return start, end
    return 0, 0
