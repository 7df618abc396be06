"""What a document has beside the attention: the language prior of an answer, and similarities of two encoders."""

from __future__ import annotations

import html
import re
from pathlib import Path

import numpy as np
import pytest
import tiny_checkpoints  # first: it sets what transformers reads
import tiny_dual_checkpoints
from PIL import Image

import mmviz
from mmviz.analysis.dual_encoder_similarity import token_similarity
from mmviz.cli import main
from mmviz.experiments.language_prior import LanguagePrior, measure_language_prior
from mmviz.explain import explain
from mmviz.figures.colour_scale import short
from mmviz.figures.signed_colours import signed
from mmviz.figures.token_labels import names
from mmviz.i18n.language import use_language
from mmviz.i18n.page import say
from mmviz.report.prior_and_similarity import MAX_WORDS, prior_section
from mmviz.types import Modality

PIXELS = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
WORDS = ("a", " <b>cat</b>")
PRIOR = LanguagePrior(
    WORDS, ((), (Modality.IMAGE,)), np.log([[0.5, 0.25], [0.4, 0.01]]), (Modality.AUDIO,)
)  # fmt: skip


def section(document: str, name: str) -> str:
    """Returns a section of a document by its heading, as text with its tags."""
    document = html.unescape(re.sub(r"&#(\d+);", lambda match: chr(int(match[1])), document))
    (section,) = (part for part in re.findall(r"<section class='beside'>.*?</section>", document, re.S) if name in part)
    return str(section)


def test_the_prior_of_an_answer_is_a_table_of_its_words() -> None:
    shown = section(prior_section(PRIOR), say("prior"))
    rows = re.findall(r"<tr.*?</tr>", shown, re.S)
    assert len(rows) == 4 and "cat" in rows[0]
    assert "<b>cat" not in prior_section(PRIOR), "a word is no markup"
    for row, log_p in zip(rows[1:3], PRIOR.log_probabilities, strict=True):
        assert [cell for cell in re.findall(r"nats'>([^<]*)<", row)] == [short(float(np.exp(value))) for value in log_p]
    assert say("prior-without", modalities=say("the-image")) in rows[2] and "+3.22" in rows[3]
    assert say("prior-required", modality=say("the-audio")) in shown
    assert prior_section(None) == ""
    alone = LanguagePrior(WORDS, ((),), PRIOR.log_probabilities[:1])
    assert prior_section(alone) == "", "there is nothing to compare with"


@pytest.mark.slow
def test_the_command_measures_it_once_and_writes_it_into_the_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mmviz.report import json_summary

    folder = tiny_checkpoints.save_checkpoint("llava", tmp_path)
    calls: list[object] = []

    def counted(*arguments: object) -> LanguagePrior | None:
        calls.append(arguments)
        return measure_language_prior(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(json_summary, "measure_language_prior", counted)
    picture = tmp_path / "a.png"
    Image.fromarray(PIXELS).save(picture)
    files = {name: tmp_path / f"run.{name}" for name in ("json", "html")}
    arguments = ["explain", "--model", f"hf:{folder}", "--image", str(picture), "--text", "What is this?"]
    for name, path in files.items():
        arguments += [f"--{name}", str(path)]
    assert main(arguments) == 0 and len(calls) == 1
    document = files["html"].read_text()
    assert say("prior-without", modalities=say("the-image")) in section(document, say("prior"))
    assert '"language_prior": {' in files["json"].read_text()


@pytest.mark.slow
def test_similarities_have_a_picture_for_the_text_and_for_each_word(tmp_path: Path) -> None:
    folder = tiny_dual_checkpoints.save_dual_checkpoint("clip", tmp_path)
    run = explain(image=PIXELS, text="What is this?", model=f"hf:{folder}")
    document = run.to_html()
    shown = section(document, say("similarity"))
    assert say("similarity-about") in shown and "cosine similarity" in shown
    kept = token_similarity(run.record)
    assert kept is not None
    words = [k for k, token in enumerate(kept.words) if token.modality is Modality.TEXT and token.location]
    figures = re.findall(r"<figure.*?</figure>", shown, re.S)
    assert len(figures) == 1 + min(len(words), MAX_WORDS)
    places = [k for k, token in enumerate(kept.places) if token.location is not None]
    labels = names([kept.places[k] for k in places])
    for figure, name, values in (
        (figures[0], say("similarity-text"), kept.text[places]),
        (figures[2], f"“{names(kept.words)[words[1]]}”", kept.values[places, words[1]]),
    ):
        best = int(np.argmax(values))
        assert f"<b>{name}</b>" in figure and f"{labels[best]} {signed(float(values[best]))}" in figure
    assert len({re.search(r"src='([^']*)'", figure)[1] for figure in figures[:3]}) == 3  # type: ignore[index]
    assert say("prior") not in document
    with use_language("zh"):
        assert say("similarity-about") in section(run.to_html(), say("similarity"))


def test_other_documents_have_neither() -> None:
    document = mmviz.explain(text="is there a dog").to_html()
    assert "class='beside'" not in document
