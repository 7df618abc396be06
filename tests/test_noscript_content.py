"""What the standalone document shows without scripts, against the record that it comes from."""

from __future__ import annotations

import base64
import html
import io
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from records import ODD, PAIR, WHOLE, cross, one_token, plain, record, words

from mmviz.capture import capture
from mmviz.explain import Run
from mmviz.figures.colour_scale import hex_colour, short
from mmviz.figures.image import spotlight
from mmviz.figures.token_labels import names
from mmviz.i18n.language import use_language
from mmviz.i18n.viewer import ABOUT, WORDS
from mmviz.report.noscript_content import IMAGE_SIDE, MAX_COLOURED, DocumentContent, document_content
from mmviz.types import Answer, AttentionRecord, MapRef, Modality, Notice, Sample, Token

HOSTILE = "<img src=x onerror=alert(1)> \"'& </section>"


def content(run: Run, map_ref: str = "0:mean", query: int = 0) -> DocumentContent:
    return document_content(run, MapRef.parse(map_ref), query)


def text_of(markup: str) -> str:
    """Returns what is read where all elements are taken away."""
    return html.unescape(re.sub(r"<[^>]*>", "", markup))


def paragraphs(markup: str, name: str) -> list[str]:
    return [html.unescape(text) for text in re.findall(rf'<p class="{name}">(.*?)</p>', markup)]


def pictures(markup: str) -> list[np.ndarray[Any, Any]]:
    return [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")).astype(int)
        for data in re.findall(r'src="data:image/jpeg;base64,([^"]+)"', markup)
    ]


def test_the_lines_above_the_viewer() -> None:
    run = plain()
    made_by = {
        "model": "m", "device_name": "CPU", "trained": False, "changes": ["UniformAttention()"],
        "recorded": {"sample": "x"},
    }  # fmt: skip
    notice = Notice("image-alpha")
    answers = (Answer("a\u202eb", 0.25), Answer("c", 0.125))
    changed = content(
        Run(
            replace(run.sample, notices=(notice,)),
            replace(run.record, made_by=made_by, notices=(notice,), answers=answers),
        )
    )
    assert changed.title == "Answer: a⟨U+202E⟩b (25.0%)" and f"<h1>{changed.title}</h1>" in changed.above
    (provenance,) = paragraphs(changed.above, "provenance")
    assert provenance.startswith("Model m, computed on CPU.") and provenance.endswith(ABOUT["recorded"])
    assert paragraphs(changed.above, "notice") == [str(notice), str(notice)]
    assert paragraphs(changed.above, "banner") == [ABOUT["untrained"], ABOUT["uniform"]]
    assert paragraphs(changed.above, "other-answers") == ["Next: c 12.5%"]
    assert paragraphs(changed.below, "provenance") == [ABOUT["disclaimer"]]
    (others,) = paragraphs(content(run).above, "other-answers")
    assert others.count("%") == 4, "five answers in all"
    bare = content(one_token())
    assert bare.title == ABOUT["no-answers"] and bare.above.count("<p") == 1
    assert paragraphs(bare.above, "question") == ["cat"]


def test_the_still_shows_the_amounts_of_the_record() -> None:
    run = plain()
    amounts = run.attention(MapRef.parse("1:2"), 3)
    scale_max = amounts.max()
    still = content(run, "1:2", 3).still
    words_shown = re.findall(r'<span style="background:(#\w+);color:#\w+" title="([^"]+)">([^<]+)</span>', still)
    tokens = [k for k, token in enumerate(run.tokens) if token.modality is Modality.TEXT]
    assert words_shown == [
        (hex_colour(amounts[k], scale_max), short(float(amounts[k])), run.tokens[k].label) for k in tokens
    ]
    assert run.sample.text is not None and run.sample.text in text_of(still)
    image = run.sample.image
    assert image is not None
    picture, spectrogram = pictures(still)
    lit = spotlight(image.pixels, run.tokens, amounts, scale_max)
    assert picture.shape == lit.shape and np.abs(picture - lit).mean() < 8, "the picture is noise, and a JPEG"
    centres = (np.arange(6) + 0.5) / 6 * spectrogram.shape[1]  # of the six moments; the tone in it is at full grey
    shades = spectrogram.max(axis=(0, 2))[centres.astype(int)]
    assert shades == pytest.approx(255 * (0.4 + 0.6 * amounts[-6:] / scale_max), abs=16)
    strongest = np.argsort(-amounts, kind="stable")[:5]
    labels = names(run.tokens)
    listed = ", ".join(f"“{labels[k]}” {short(float(amounts[k]))}" for k in strongest)
    assert f"From “{labels[3]}”: layer 2, head 3. Strongest: {listed}" in text_of(still)
    assert f"attention weight, 0 to {short(scale_max)}" in text_of(still)


def test_the_unit_is_that_of_the_method() -> None:
    still = text_of(content(plain(), "relevance").still)
    assert "gradient relevance, 0 to" in still and "attention weight" not in still


@pytest.mark.slow
@pytest.mark.parametrize("name", ODD)
def test_every_odd_record_has_a_still(name: str) -> None:
    run = ODD[name]()
    for ref in (run.map_ref, run.record.map_ref(0, 0)):
        shown = document_content(run, ref, 0)
        assert ABOUT["still"] in text_of(shown.still)
        if run.sample.text:
            assert run.sample.text in text_of(shown.still)
        for modality, given in (("image", run.sample.image), ("audio", run.sample.audio)):
            assert (WORDS[f"{modality}-none"] in text_of(shown.still)) == (given is None)
        assert len(pictures(shown.still)) == (run.sample.image is not None) + (run.sample.audio is not None)


def test_a_map_between_streams_shows_its_keys() -> None:
    run = cross()
    still = content(run, "1:0", 1).still
    assert "From “a”: layer 2, head 1" in text_of(still)
    amounts = run.record.maps[2].weights[0, 1]
    assert f"0 to {short(float(amounts.max()))}" in text_of(still)


def test_inputs_without_tokens_are_shown_plain() -> None:
    answer_only = [Token(Modality.SPECIAL, "answer")]
    still = content(Run(WHOLE, record({"all": answer_only}, [(*PAIR, 0, 1)]))).still
    picture, spectrogram = pictures(still)
    assert WHOLE.image is not None and np.abs(picture - WHOLE.image.pixels).mean() < 8
    assert spectrogram.max() > 150, "not dimmed"
    assert ABOUT["still-image-plain"] in html.unescape(still)


@pytest.mark.slow
def test_a_long_text_is_whole_and_its_colours_are_not() -> None:
    text = " ".join(f"word{k}" for k in range(2 * MAX_COLOURED))
    still = content(Run(Sample(text=text), record({"all": words(text)}, [(*PAIR, 0, 1)]))).still
    assert text in text_of(still) and 0 < still.count("<span style") <= MAX_COLOURED
    assert len(still) < 100_000


def test_a_large_image_is_small_in_the_still() -> None:
    run = plain()
    assert run.sample.image is not None
    noise = np.random.default_rng(0).integers(0, 256, (1500, 2000, 3), dtype=np.uint8)
    image = replace(run.sample.image, pixels=noise, width=4000, height=3000)
    still = content(Run(replace(run.sample, image=image), run.record)).still
    assert max(pictures(still)[0].shape) == IMAGE_SIDE
    assert len(still) < 450_000, "noise is what compresses worst"


def test_text_of_people_and_models_stays_text() -> None:
    tokens = [Token(Modality.SPECIAL, HOSTILE), *words(HOSTILE)]
    hostile_record = record(
        {HOSTILE: tokens}, [(HOSTILE, HOSTILE, 0, 1)], made_by={"model": HOSTILE, "device_name": HOSTILE}
    )
    shown = content(
        Run(Sample(text=HOSTILE), replace(hostile_record, answers=(Answer(HOSTILE, 0.5), Answer(HOSTILE, 0.5))))
    )
    whole = shown.above + shown.still + shown.below
    assert set(re.findall(r"<(\w+)", whole)) == {"header", "h1", "h2", "p", "span"}
    assert not re.search(r"<[^>]*(onerror|src)", whole) and whole.count("</section>") == 0
    assert set(re.findall(r"<(\w+)", shown.maps)) == {"section", "div", "b", "i", "span"}
    unquoted = re.sub(r"'[^']*'", "", shown.maps)
    assert not re.search(r"<[^>]*(onerror|src)", unquoted) and shown.maps.count("</section>") == 1
    assert HOSTILE in text_of(shown.still) and HOSTILE in text_of(shown.above)


def test_it_is_in_the_current_language() -> None:
    with use_language("zh"):
        shown = content(plain())
    assert shown.title.startswith("答案：") and ABOUT["still"] not in shown.still and "图" in text_of(shown.still)


def long_record() -> AttentionRecord:
    torch = pytest.importorskip("torch")
    model = torch.nn.MultiheadAttention(8, 2, batch_first=True)
    states = torch.randn(1, 3000, 8)
    with capture(model) as result, torch.no_grad():
        model(states, states, states, need_weights=False)
    return result.record()


def test_a_long_run_says_that_it_shows_means() -> None:
    run = Run(Sample(), long_record())
    assert run.record.is_long
    still = text_of(document_content(run, run.map_ref, 0).still)
    assert "layer 1, mean of heads, means over neighbouring tokens" in still
    assert f"0 to {short(float(run.pooled_attention(token=0).max()))}" in still
