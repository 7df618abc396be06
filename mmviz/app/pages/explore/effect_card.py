"""The effect of each input beside its attention: two bars for each modality, on one small chart."""

from __future__ import annotations

import html

import streamlit as st

from mmviz.analysis.answer_maps import method_words, reads_from_ref
from mmviz.analysis.attributions import known_modality_shares
from mmviz.app.components.page_elements import chip
from mmviz.experiments.modality_shapley import Effect
from mmviz.experiments.removals import present_modalities
from mmviz.experiments.story import Story
from mmviz.explain import Run
from mmviz.i18n.language import join_list
from mmviz.i18n.minus_sign import signed_text
from mmviz.i18n.page import say
from mmviz.types import AttentionRecord, MmvizError, Modality

SMALL = 0.1
"""Nats. An input that takes less when it is removed changes little; a route that takes more does not."""


def effect_card(run: Run, effect: Effect | MmvizError | None, can_measure: bool, story: Story | None = None) -> None:
    """Draws attention and effect of each modality of ``run``, and where the steps of its ``story`` seem to differ.

    ``effect`` is None before it is measured; ``can_measure``: whether the page can do that.
    """
    st.html(effect_card_html(run, effect, can_measure, story))


def effect_card_html(
    run: Run, effect: Effect | MmvizError | None, can_measure: bool, story: Story | None = None
) -> str:
    """Returns what `effect_card` draws."""
    shares = known_modality_shares(run.record, reads_from_ref(run.record)[0])
    measured = effect if isinstance(effect, Effect) else None
    losses = {} if measured is None else removal_effects(measured)
    most = max((abs(loss) for loss in losses.values()), default=0.0)
    rows = ""
    for modality in present_modalities(run.sample):
        bars = "" if shares is None else _bar("attention", shares[modality], f"{shares[modality]:.1%}")
        bars += _effect(measured, losses, modality, most)
        rows += f"<div class='effect-row'><b>{chip(modality)}</b><div>{bars}</div></div>"
    legend = ""
    if shares is not None:
        method = method_words(str(reads_from_ref(run.record)[0]), run.record)
        legend = _legend("attention", say("effect-beside-attention", method=method))
    if measured is not None:
        legend += _legend("effect", say("effect-beside-effect", answer=measured.answer, most=_nats(-most)))
        legend += _beside_routes(run, losses, story)
    elif isinstance(effect, MmvizError):
        legend += f"<p>{html.escape(str(effect))}</p>"
    else:
        code = "effect-beside-none" if can_measure else "effect-beside-not-held"
        legend += f"<p>{html.escape(say(code, button=say('story-trace')))}</p>"
    title, about = html.escape(say("effect-beside")), html.escape(say("effect-beside-help"))
    mark = f"<span class='help' role='img' aria-label='{about}' title='{about}'>?</span>"
    head = f"<b role='heading' aria-level='2'>{title}</b>{mark}"
    return f"<div class='effect-card'>{head}{rows}<div class='effect-legend'>{legend}</div></div>"


def removal_effects(effect: Effect) -> dict[Modality, float]:
    """Returns by how much the answer's log-probability changes if one modality alone is removed, in nats.

    Below 0 where the answer loses. A modality that the model requires is left out.
    """
    whole = effect.everything
    return {modality: effect.values[whole - {modality}] - effect.values[whole] for modality in whole - effect.required}


def unlike_routes(record: AttentionRecord, losses: dict[Modality, float], story: Story) -> dict[Modality, float]:
    """Returns the modalities whose removal changes little, though a step of the story that reads them, or that they
    read, takes more than `SMALL` when it is cut; with the most that such a step takes, in nats, below 0."""
    sizes: dict[Modality, float] = {}
    for step in story.steps:
        readers = {token.modality for token in step.query_tokens(record)}
        for modality in {step.modality, step.queries, *readers} & losses.keys():
            assert isinstance(modality, Modality)
            if abs(losses[modality]) < SMALL and step.effect < -SMALL:
                sizes[modality] = min(step.effect, sizes.get(modality, 0.0))
    return sizes


def _beside_routes(run: Run, losses: dict[Modality, float], story: Story | None) -> str:
    unlike = {} if story is None else unlike_routes(run.record, losses, story)
    if not unlike:
        return ""
    modalities = join_list(say(f"the-{modality}") for modality in unlike)
    text = say("effect-beside-routes", modalities=modalities, size=_nats(min(unlike.values())))
    return f"<p class='effect-routes'>{html.escape(text)}</p>"


def _effect(effect: Effect | None, losses: dict[Modality, float], modality: Modality, most: float) -> str:
    if effect is None:
        return ""
    if modality not in losses:
        return f"<p>{html.escape(say('effect-beside-required'))}</p>"
    loss, (answer, _) = losses[modality], effect.answers[effect.everything - {modality}]
    text = say("effect-beside-nats", size=_nats(loss))
    if effect.is_changed(effect.everything - {modality}):
        text += " " + say("effect-beside-without", answer=answer)
    return _bar("effect" if loss <= 0 else "effect gain", abs(loss) / most if most else 0.0, text)


def _bar(kind: str, share: float, text: str) -> str:
    return (
        f"<div class='effect-bar {kind}'><span><i style='width:{share:.1%}'></i></span>"
        f"<em>{html.escape(text)}</em></div>"
    )


def _legend(kind: str, text: str) -> str:
    return f"<div class='effect-bar {kind}'><i></i><em>{html.escape(text)}</em></div>"


def _nats(size: float) -> str:
    """Returns a signed number of nats, of one decimal place as everywhere on the page."""
    return signed_text(size, 1) if round(size, 1) else "0.0"
