"""What an answer depends on, as tables and in words: what ``mmviz effect`` and the section Effect show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmviz.analysis.attention_vs_effect import disagreements
from mmviz.experiments.modality_shapley import Effect, coalitions
from mmviz.experiments.removals import Baseline
from mmviz.i18n.minus_sign import signed_text
from mmviz.i18n.page import say
from mmviz.report.result_table import ExperimentTable
from mmviz.report.run_facts import run_facts
from mmviz.types import INPUT_MODALITIES, AttentionRecord, MapRef, Modality, Request

INTERACTING = 0.1
"""Pairs of modalities whose interaction is below this, in nats, are not spoken of. The threshold is ours."""


def effect_table(
    request: Request, record: AttentionRecord, effect: Effect, attention: Mapping[Modality, float] | None,
    map_ref: MapRef, baseline: Baseline, command: str,
) -> ExperimentTable:  # fmt: skip
    """Returns a row for each modality of the sample, named ``effect``.

    A row holds ``modality``; ``attention``, its share of the attention of the answer token by ``map_ref`` (None where
    that is not known); ``effect``, its share of the measured effect; ``nats``, its Shapley value; ``required``: the
    model cannot run without it, so its effect is None. The facts hold ``total`` in nats, the ``subsets`` (see
    `subsets_table`), the ``interactions`` of pairs in nats, and the ``verdict`` in words.
    """
    rows = [
        {
            "modality": str(modality),
            "attention": None if attention is None else attention[modality],
            "effect": None if modality in effect.required else effect.shares[modality],
            "nats": None if modality in effect.required else effect.phi[modality],
            "required": modality in effect.required,
        }
        for modality in INPUT_MODALITIES if modality in effect.everything
    ]  # fmt: skip
    facts = {
        **_facts(request, record, baseline),
        "attention_of": str(map_ref),
        "total": effect.total,
        "verdict": [*effect_sentences(effect, attention), *interaction_sentences(effect)],
        "interactions": _interaction_rows(effect),
        "subsets": _subset_rows(effect),
    }
    return ExperimentTable("effect", ("modality", "attention", "effect", "nats", "required"), rows, facts, command)


def effect_rows(effect: Effect, attention: Mapping[Modality, float] | None) -> list[list[str]]:
    """Returns share of attention, share of the effect and Shapley value of each modality as text, the header first."""
    rows = [["", *(say(f"effect-{code}") for code in ("attention", "share", "phi"))]]
    for modality in INPUT_MODALITIES:
        if modality not in effect.everything:
            continue
        is_measured = modality not in effect.required
        rows.append([
            say(f"name-{modality}"),
            "–" if attention is None else f"{attention[modality]:.2f}",
            f"{effect.shares[modality]:.2f}" if is_measured else "–",
            signed_text(effect.phi[modality]) if is_measured else "–",
        ])  # fmt: skip
    return [*rows, [say("effect-total"), "", "", signed_text(effect.total)]]


def subsets_table(
    request: Request, record: AttentionRecord, effect: Effect, baseline: Baseline, command: str
) -> ExperimentTable:
    """Returns a row for each subset of the modalities that was measured, all of them first, named ``subsets``.

    A row holds ``image``, ``text`` and ``audio`` (whether it is kept), the most probable ``answer`` and its
    ``probability``, the ``log_probability`` of the answer to the whole sample in nats, and ``changed``: another answer
    is the most probable one.
    """
    rows = _subset_rows(effect)
    return ExperimentTable("subsets", tuple(rows[0]), rows, _facts(request, record, baseline), command)


def interactions_table(
    request: Request, record: AttentionRecord, effect: Effect, baseline: Baseline, command: str
) -> ExperimentTable:
    """Returns a row for each pair of modalities whose interaction was measured, named ``interactions``.

    A row holds the two ``modalities``, and the Shapley interaction index in ``nats``: above 0 where they do more for
    the answer together than each alone. The facts hold the ``verdict`` on those that do much.
    """
    facts = {**_facts(request, record, baseline), "verdict": interaction_sentences(effect)}
    return ExperimentTable("interactions", ("modalities", "nats"), _interaction_rows(effect), facts, command)


def effect_sentences(effect: Effect, attention: Mapping[Modality, float] | None) -> list[str]:
    """Returns a sentence for each disagreement of attention and effect, or one that says that they agree.

    A modality that the model requires is named, and not compared.
    """
    required = [say("effect-required", modality=say(f"the-{modality}")) for modality in sorted(effect.required)]
    if attention is None:
        return [*required, say("effect-no-attention")]
    sentences = []
    for case in disagreements(_measured(attention, effect), _measured(effect.shares, effect)):
        modalities = {"modality": say(f"the-{case.modality}"), "other": say(f"the-{case.other}") if case.other else ""}
        text = say(f"effect-{case.kind}", **modalities, attention=case.attention, effect=case.effect)
        sentences.append(_capitalised(text))
    return [*required, *(sentences or [say("effect-agrees")])]


def interaction_sentences(effect: Effect) -> list[str]:
    """Returns a sentence for each pair of modalities that work together, or tell the same, the strongest first.

    They are told apart by the sign of the interaction, see `mmviz.experiments.modality_shapley.shapley_interactions`.
    """
    pairs = sorted(effect.interactions.items(), key=lambda item: -abs(item[1]))
    sentences = []
    for pair, value in pairs:
        if abs(value) >= INTERACTING:
            first, second = (say(f"the-{modality}") for modality in INPUT_MODALITIES if modality in pair)
            code = "interaction-with" if value > 0 else "interaction-same"
            sentences.append(_capitalised(say(code, first=first, second=second, value=abs(value))))
    return sentences


def measured_subsets(effect: Effect) -> list[frozenset[Modality]]:
    """Returns the subsets of the modalities that were measured, that of all of them first.

    Those without a modality that the model requires were not.
    """
    present = [modality for modality in INPUT_MODALITIES if modality in effect.everything]
    return [subset for subset in reversed(coalitions(present)) if subset in effect.answers]


def _facts(request: Request, record: AttentionRecord, baseline: Baseline) -> dict[str, Any]:
    return {**run_facts(request, record), "baseline": baseline}


def _interaction_rows(effect: Effect) -> list[dict[str, Any]]:
    return [
        {"modalities": [str(modality) for modality in INPUT_MODALITIES if modality in pair], "nats": value}
        for pair, value in effect.interactions.items()
    ]


def _subset_rows(effect: Effect) -> list[dict[str, Any]]:
    return [
        {
            **{str(modality): modality in subset for modality in INPUT_MODALITIES},
            "answer": effect.answers[subset][0],
            "probability": effect.answers[subset][1],
            "log_probability": effect.values[subset],
            "changed": effect.is_changed(subset),
        }
        for subset in measured_subsets(effect)
    ]


def _measured(shares: Mapping[Modality, float], effect: Effect) -> dict[Modality, float]:
    """Returns the shares, those of modalities whose effect is not measured as 0, so that they are not compared."""
    measured = effect.everything - effect.required
    return {modality: share if modality in measured else 0.0 for modality, share in shares.items()}


def _capitalised(text: str) -> str:
    return text[0].upper() + text[1:]
