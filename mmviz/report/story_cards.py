"""The steps of a story as sentences, and as small cards in HTML: what is read, by whom, where, and its size."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

import numpy as np

from mmviz.analysis.key_clusters import is_one_place
from mmviz.experiments.route_cut import LayerWindow
from mmviz.experiments.story import Story
from mmviz.experiments.story_search import LEAST, Step
from mmviz.figures.heat_strip import strip_html
from mmviz.figures.image import data_uri, downscaled, spotlight
from mmviz.figures.token_labels import names
from mmviz.i18n.language import join_list, join_sentences
from mmviz.i18n.page import say
from mmviz.i18n.unicode_display import replace_invisible
from mmviz.report.run_interface import Run
from mmviz.types import ANSWER, AttentionRecord, Chars, ChosenTokens, Modality, PixelBox, Seconds, Token, TokenGroup

SIDE = 200
"""Longer side of the picture on a card, in pixels."""
MOMENTS = re.compile(r"[\d.]+–[\d.]+ s")
"""From when to when moments last, as a sentence says it; a card keeps it on one line."""
WORDS = 4
"""So many words, or patches, are named; a step of more says the first ones."""


def step_sentence(record: AttentionRecord, step: Step, names_patches: bool = False) -> str:
    """Returns a step as a sentence: the layers, which tokens read which, and the answer without it.

    ``names_patches``: for where no picture beside it shows them.
    """
    return join_sentences([step_reads(record, step, names_patches), step_without(step)])


def step_reads(record: AttentionRecord, step: Step, names_patches: bool = False) -> str:
    """Returns the first half of `step_sentence`: the layers, and which tokens read which."""
    queries, is_one = _readers(record, step, names_patches)
    tokens = step.key_tokens(record)
    number = "one" if is_one else "many"
    kind = "reads" if tokens else "all"
    parts = {"queries": queries, "words": _words(tokens), "moments": _moments(tokens)}
    if names_patches and step.modality is Modality.IMAGE and tokens:
        reads = say(f"story-sees-{number}", queries=queries, patches=_patches(record, step.keys))
    elif step.modality is Modality.IMAGE and tokens and not is_one_place(tokens):
        reads = say(f"story-reads-images-{number}", queries=queries)
    else:
        reads = say(f"story-{kind}-{step.modality}-{number}", **parts)
    return say("story-step", layers=_layers(record, step), reads=reads)


def step_without(step: Step) -> str:
    """Returns the second half of `step_sentence`: the answer without the step."""
    codes = {None: "story-without-untold", True: "story-without", False: "story-without-same"}
    return say(codes[step.is_changed], answer=replace_invisible(step.answer))


def story_verdict(story: Story) -> str:
    """Returns a sentence on a story without steps, or on one that was stopped; "" for any other."""
    if not story.is_complete:
        return say("story-stopped")
    if story.steps:
        return ""
    if not story.ways_out:
        return say("story-none", least=LEAST)
    modalities = join_list(say(f"the-{modality}") for modality, _ in story.ways_out)
    effects = join_list(say("story-effect", size=-effect) for _, effect in story.ways_out)
    return say("story-none-ways", modalities=modalities, effects=effects)


def step_card(run: Run, step: Step, number: int) -> str:
    """Returns a step as HTML: its picture, its sentence, and its size in nats."""
    size = say("story-effect", size=-step.effect)
    sentence = MOMENTS.sub(r"<span class='moments'>\g<0></span>", html.escape(step_sentence(run.record, step)))
    return (
        f"<div class='story-card'><div class='story-thing'>{_thing(run, step)}</div>"
        f"<p><b>{number}</b> {sentence}</p>"
        f"<span class='story-size'>{html.escape(size)}</span></div>"
    )


def _thing(run: Run, step: Step) -> str:
    """Returns what is read: the picture with its place bright, the words, or the moments of the sound."""
    record = run.record
    keys, queries = step.key_tokens(record), step.query_tokens(record)
    picture = next((part for part in (keys, queries) if part and isinstance(part[0].location, PixelBox)), ())
    parts = []
    if step.modality is Modality.TEXT and keys:
        parts.append(f"<span class='story-word'>{html.escape(_words(keys))}</span>")
    if step.modality is Modality.AUDIO and isinstance(step.keys, ChosenTokens):
        tokens = record.streams[step.keys.stream or record.flow_streams[0]]
        amounts = np.isin(np.arange(len(tokens)), step.keys.tokens).astype(np.float64)
        parts.append(strip_html(tokens, amounts, 1.0, Modality.AUDIO))
    image = run.sample.image
    if image is not None and (picture or (step.modality is Modality.IMAGE and not keys)):
        shown, size = downscaled(image.pixels, SIDE), (image.width, image.height)
        lit = spotlight(shown, picture, np.full(len(picture), 0.999), 1.0, size) if picture else shown
        parts.append(f"<img src='{data_uri(lit)}' alt='{html.escape(say('story-picture-alt'))}'>")
    return "".join(parts)


def _readers(record: AttentionRecord, step: Step, names_patches: bool) -> tuple[str, bool]:
    """Returns the queries of a step in words, and whether they are one token."""
    if step.queries == ANSWER:
        return say("story-answer"), True
    tokens = step.query_tokens(record)
    if not tokens:
        return say(f"story-group-{step.queries}"), False
    if isinstance(tokens[0].location, PixelBox):
        if names_patches:
            return _patches(record, step.queries), len(tokens) == 1
        return say("story-some-image" if is_one_place(tokens) else "story-some-images"), False
    if isinstance(tokens[0].location, Seconds):
        return say("story-some-audio", moments=_moments(tokens)), False
    return _words(tokens), True


def _words(tokens: Sequence[Token]) -> str:
    """Returns the first of the words of ``tokens`` in quotes, in the order of the text."""
    located = [(token.location.start, token.label) for token in tokens if isinstance(token.location, Chars)]
    return join_list(f"“{replace_invisible(label.strip())}”" for _, label in sorted(located)[:WORDS])


def _patches(record: AttentionRecord, group: TokenGroup) -> str:
    """Returns the names of the first of some patches, those that are read most, and how many more there are."""
    assert isinstance(group, ChosenTokens)
    named = join_list(names(record.streams[group.stream or record.flow_streams[0]], group.tokens[:WORDS]))
    more = len(group.tokens) - WORDS
    return say("story-patches-more", patches=named, count=more) if more > 0 else named


def _moments(tokens: Sequence[Token]) -> str:
    """Returns from when to when moments last."""
    places = [token.location for token in tokens if isinstance(token.location, Seconds)]
    if not places:
        return ""
    return f"{min(place.start for place in places):.1f}–{max(place.end for place in places):.1f} s"


def _layers(record: AttentionRecord, step: Step) -> str:
    """Returns the layers of a step in words, counted from 1, with their stack where several are cut."""
    return join_list(_window(record, window) for window in step.windows)


def _window(record: AttentionRecord, window: LayerWindow) -> str:
    if not window.layers:
        return say("story-layers-all")
    first, last = min(window.layers) + 1, max(window.layers) + 1
    words = say("story-layer" if first == last else "story-layers", first=first, last=last)
    has_several = len(set(record.stacks) - set(record.made_by.get("towers") or ())) > 1  # no route of a tower is cut
    return say("story-layer-of", layers=words, stack=window.stack) if has_several else words
