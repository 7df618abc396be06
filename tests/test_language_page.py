"""The page, documents and figures in Chinese, and with Chinese in them."""

from __future__ import annotations

import html
import io
import json
import re
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from app_page import FULL, address, markup, notes, now, press, run, sent, visit, word
from matplotlib.font_manager import fontManager
from matplotlib.text import Text
from PIL import Image
from made_up_tokens import ANSWER, FRAMES, MEL, PATCHES, PICTURE, RATE, WAVE
from streamlit.runtime.scriptrunner import add_script_run_ctx
from streamlit.testing.v1 import AppTest

import mmviz
from mmviz.app import visitor_language as visitor
from mmviz.app.pages.explore import footer as foot
from mmviz.app.selection_view import SelectionView
from mmviz.backends.local import LocalBackend
from mmviz.figures import fonts, paper
from mmviz.figures.text_wrapping import clipped, lines, width
from mmviz.figures.token_labels import names, places
from mmviz.figures.token_matrix import token_matrix
from mmviz.i18n.figures import FIGURES
from mmviz.i18n.language import current, speaking
from mmviz.i18n.viewer import WORDS
from mmviz.inputs.examples import load_gallery
from mmviz.models import CATALOGUE
from mmviz.models.question_templates import TEMPLATES, known_words
from mmviz.report import ViewerData
from mmviz.types import Answer, Chars, Modality, Token
from mmviz.viewer.container import decode

QUESTION = "图片里有一只猫吗？"
NAMES = set(
    "mmviz trio toy English CPU GPU PNG JPEG JPG WebP GIF WAV FLAC OGG MP3 M4A AAC WebM MP4 html npz json png csv log "
    "softmax max Shapley rollout sink register nat Run load mmviz audit FOLDER capture seen relevance Abnar Zuidema "
    "Kobayashi Chefer Sundararajan Vaswani AMD EPYC Intel Xeon Processor GHz threads MASK Esc Shift Tab exp".split()
)
"""What is the same in both languages: names, formats, units, commands. Lower and upper case do not matter."""
SHOWN = ("label", "help", "body", "options", "placeholder", "alt", "caption", "text", "title", "spec", "columns")
"""Fields of Streamlit's elements that a visitor sees, or hears read."""


def english(words: str) -> set[str]:
    """Words of English that are neither names nor of the model's world, nor its questions."""
    model = {*known_words(), "yes", "no", "nothing", "text", "picture", "sound", "image"}
    asked = " ".join([*(example.question for example in load_gallery()), *sum(TEMPLATES.values(), ()), *CATALOGUE])
    known = {one.lower() for one in (*NAMES, *model, *re.findall(r"[A-Za-z]+", asked))}
    return {found for found in re.findall(r"[A-Za-z]{3,}", words) if found.lower() not in known}


def told(page: AppTest) -> str:
    """Everything on the page that is there to be read; of the viewer, what it is sent."""
    found: list[str] = []
    for element in [*page.main, *page.sidebar]:
        found += _told(element)
    return "\n".join(found)


def _told(element: Any) -> Iterator[str]:
    for child in getattr(element, "children", {}).values():
        yield from _told(child)
    proto = getattr(element, "proto", None)
    if proto is None:
        return
    for field, value in proto.ListFields():
        values = value if field.is_repeated else [value]
        if field.name in SHOWN:
            yield from (_plain(one) for one in values if isinstance(one, str))
        elif field.message_type is not None and not field.message_type.GetOptions().map_entry:
            for inner in values:
                yield from (
                    _plain(one) for kind, one in inner.ListFields() if kind.name in SHOWN and isinstance(one, str)
                )


def _plain(words: str) -> str:
    """What of HTML, Markdown or a Plotly figure is read: no tags, styles and scripts, but titles and labels of tags."""
    if words.startswith("{"):
        return " ".join(_texts(json.loads(words)))
    words = re.sub(r"<(style|script)>.*?</\1>", " ", words, flags=re.DOTALL)
    attributes = re.findall(r"(?:title|alt|aria-label)='([^']*)'", words)
    return html.unescape(" ".join([*attributes, re.sub(r"<[^>]*>", " ", words)]))


def _texts(figure: Any, key: str = "") -> Iterator[str]:
    """Texts of a Plotly figure."""
    if isinstance(figure, dict):
        for name, value in figure.items():
            yield from _texts(value, name)
    elif isinstance(figure, list):
        for value in figure:
            yield from _texts(value, key)
    elif isinstance(figure, str) and key in ("text", "hovertemplate", "ticktext", "name", "x", "y"):
        yield re.sub(r"<[^>]*>|%\{[^}]*\}", " ", figure)


def settled(page: AppTest) -> AppTest:
    for _ in range(240):
        works = list(now(page).works.values())
        if works and all(work.wait(1) for work in works):
            run(page)
            if len(now(page).works) == len(works):
                return page
        else:
            run(page)
    raise AssertionError("it is measured for ever")


# the page


def test_the_page_speaks_chinese_by_its_address_and_english_without() -> None:
    page = visit(lang="zh", query="9999")
    assert [one.label for one in page.button[:2]] == ["探索", "调试"] and page.button("run").label == "运行"
    assert "在融合模型内部" in markup(page) and "回答正确。" in markup(page)
    assert "没有的内容（query）" in notes(page, "remark")[0]
    assert address(page)["lang"] == "zh" and address(page)["query"] == "0"
    assert sent(page)[0]["texts"]["help"] == "如何使用" and sent(page)[0]["language"] == "zh-CN"
    assert not english(told(page).replace("query", "")), "on the page"
    header = sent(page)[0]
    viewer = " ".join([*header["texts"].values(), *header["streams"]["tokens"]["place"]])
    assert not english(re.sub(r"\{\w+\}", " ", viewer)), "in the viewer"
    press(press(page, "own"), "run")
    assert notes(page, "refusal") == [
        "<div class='note refusal' role='alert'>没有可看的内容。请提供图像、文本或声音。</div>"
    ]
    other = visit()
    assert other.button("run").label == "Run" and "lang" not in address(other), "another visitor"
    assert sent(other)[0]["texts"] == WORDS and sent(other)[0]["language"] == "en"


def test_the_switch_turns_the_language_and_the_address_keeps_it() -> None:
    page = visit(query="9999")
    assert "does not have (query)" in notes(page, "remark")[0]
    press(page, "speak-zh")
    assert page.button("run").label == "运行" and address(page)["lang"] == "zh"
    assert "没有的内容（query）" in notes(page, "remark")[0], "what was said before is said again"
    assert sent(page)[0]["texts"]["help"] == "如何使用" and word(page) == now(page).run.record.answers[0].label
    with speaking("zh"):  # AppTest asks itself how choices are written
        press(page, "page-debug")
        assert address(page)["lang"] == "zh" and address(page)["page"] == "debug"
        press(press(page, "page-explore"), "speak-en")
    assert page.button("run").label == "Run" and address(page)["lang"] == "en"


@pytest.mark.parametrize(
    ("named", "browser", "label"),
    [("", "zh-CN", "运行"), ("", "zh-Hant-TW", "运行"), ("", "en-GB", "Run"), ("", "fr-FR", "Run"),
     ("en", "zh-CN", "Run"), ("zh", "en-US", "运行"), ("xx", "zh", "运行")],
)  # fmt: skip
def test_the_address_comes_before_the_browser(
    named: str, browser: str, label: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visitor, "_of_browser", lambda: [browser])
    monkeypatch.setattr("mmviz.app.pages.explore.page.is_open", lambda access: _only_the_button())
    page = visit(**({"lang": named} if named else {}))
    assert page.button("first").label == label


def _only_the_button() -> bool:
    import streamlit as st

    from mmviz.i18n.page import say

    st.button(say("run"), key="first")
    return False


@pytest.mark.slow
@pytest.mark.parametrize("section", ["effect", "heads", "faith", "compare", "health"])
def test_every_part_of_debug_is_chinese(section: str) -> None:
    with speaking("zh"):  # AppTest asks itself how choices are written
        page = settled(visit(lang="zh", page="debug", section=section))
    assert not english(told(page))
    for frame in page.dataframe:
        assert not english(" ".join(frame.value.columns))


def test_a_thread_that_draws_a_part_of_the_page_speaks_to_its_visitor(monkeypatch: pytest.MonkeyPatch) -> None:
    class Context:
        """What stands for a run of the script."""

    heard: dict[str, str] = {}
    monkeypatch.setattr(visitor.st, "session_state", {"mmviz-language": "zh"})

    def capture_targets(name: str) -> None:
        heard[name] = current()

    with_context, without = (threading.Thread(target=capture_targets, args=(name,)) for name in ("visitor", "nobody"))
    add_script_run_ctx(with_context, Context())  # type: ignore[arg-type]
    for thread in (with_context, without):
        thread.start()
        thread.join(10)
    assert heard == {"visitor": "zh", "nobody": "en"}


def test_files_are_made_in_the_language_of_when_they_were_offered() -> None:
    page = visit(lang="zh")
    found = now(page)
    assert found.run is not None and found.selection is not None
    with speaking("zh"):
        made = foot.files(SelectionView(found.run, found.selection))
    assert current() == "en"
    document = made["save-page"][0]().decode()
    assert '<html lang="zh-CN">' in document and "<title>答案：" in document
    assert '<html lang="en">' in found.run.to_html()


# Chinese that goes in


@pytest.fixture(scope="module")
def asked() -> mmviz.Run:
    return mmviz.explain(image=FULL.image, text=QUESTION, audio=FULL.audio, backend=LocalBackend("cpu"))


def test_chinese_letters_have_their_places(asked: mmviz.Run) -> None:
    tokens = [token for token in asked.tokens if token.modality is Modality.TEXT]
    assert len(tokens) > 1
    spans = [token.location for token in tokens]
    assert all(isinstance(span, Chars) for span in spans)
    covered = {place for span in spans if isinstance(span, Chars) for place in range(span.start, span.end)}
    assert covered == set(range(len(QUESTION))), "every letter is in a token"
    assert [span.start for span in spans if isinstance(span, Chars)] == sorted(
        span.start for span in spans if isinstance(span, Chars)
    )


def test_chinese_goes_through_every_view(asked: mmviz.Run) -> None:
    found = json.loads(json.dumps(asked.summary(), ensure_ascii=False))
    places_told = [token["chars"] for token in found["tokens"]["text"]]
    assert places_told[0][0] == 0 and places_told[-1][1] == len(QUESTION)
    again = mmviz.Run.load(_saved(asked))
    assert again.sample.text == QUESTION
    for language in ("en", "zh"):
        with speaking(language):  # type: ignore[arg-type]
            header, _ = decode(ViewerData(asked).to_bytes())
            assert "".join(piece for piece, _ in header["words"]["tokens"]) == QUESTION
            assert len(asked.to_html()) > 10_000
            assert Image.open(io.BytesIO(asked.png())).size == (1600, 900)
            matrix = token_matrix(np.eye(len(asked.tokens)), asked.tokens, asked.tokens, QUESTION, 1)
            assert QUESTION[:5] in matrix.layout.title.text


def _saved(found: mmviz.Run) -> Any:
    import tempfile
    from pathlib import Path

    path = Path(tempfile.mkdtemp()) / "run.npz"
    found.save(path)
    return path


def test_chinese_is_typed_into_the_page(no_recordings: object) -> None:
    page = visit(lang="zh")
    page.text_input("question").set_value(QUESTION)
    run(page)
    header, _ = sent(page)
    assert "".join(piece for piece, _ in header["words"]["tokens"]) == QUESTION
    assert "不符合该模型认识的任何问法" in markup(page) and now(page).run.sample.text == QUESTION


def test_a_scene_is_told_to_each_in_their_language(asked: mmviz.Run) -> None:
    scene = ViewerData(asked)
    english_title = decode(scene.to_bytes())[0]["about"]["title"]
    with speaking("zh"):
        header = decode(scene.to_bytes())[0]
    assert english_title.startswith("Answer: ") and header["about"]["title"].startswith("答案：")
    assert header["language"] == "zh-CN" and header["streams"]["tokens"]["name"][-1].endswith(" 秒")
    assert decode(scene.to_bytes())[0]["about"]["title"] == english_title


# figures


def test_tokens_are_named_in_the_language_spoken() -> None:
    tokens = [ANSWER, Token(Modality.AUDIO, "absent"), Token(Modality.SPECIAL, "[CLS]"), PATCHES[0], FRAMES[0]]
    assert names(tokens)[:4] == ["answer", "sound: absent", "[CLS]", "patch 1,1"]
    with speaking("zh"):
        assert names(tokens)[:4] == ["答案", "声音：缺失", "[CLS]", "图块 1,1"]
        assert places(tokens)[0] == "特殊词元：答案" and places(tokens)[3].startswith("第 1 行第 1 列的图块\n（x 0 到 ")


@pytest.mark.parametrize(
    ("words", "letters", "expected"),
    [
        ("one two three", 8, ["one two", "three"]),
        ("注意力表示信息流向何处", 8, ["注意力表", "示信息流", "向何处"]),
        ("注意力表。示信息", 8, ["注意力", "表。示信", "息"]),
        ("注意力（表示）信息", 8, ["注意力", "（表示）", "信息"]),
        ("第 3 层 softmax 头", 8, ["第 3 层", "softmax", "头"]),
        ("supercalifragilistic注", 8, ["supercal", "ifragili", "stic注"]),
        ("", 8, []),
    ],
)
def test_lines_break_where_they_may(words: str, letters: int, expected: list[str]) -> None:
    assert lines(words, letters) == expected
    assert all(width(line) <= letters for line in expected)


def test_what_is_cut_is_cut_by_its_width() -> None:
    assert clipped("a  b\nc", 5) == "a b c" and clipped("abcdef", 4) == "abc…"
    assert clipped("注意力", 6) == "注意力" and clipped("注意力表", 6) == "注意…"


def page_of_paper(monkeypatch: pytest.MonkeyPatch, text: str) -> list[str]:
    """All that is written on a figure for paper."""
    tokens = [ANSWER, Token(Modality.TEXT, text, Chars(0, len(text))), *PATCHES, *FRAMES]
    written: list[str] = []
    real = Text.set_text
    monkeypatch.setattr(Text, "set_text", lambda self, words: (written.append(str(words)), real(self, words))[1])
    paper.png(
        picture=PICTURE, text=text, wave=WAVE, rate=RATE, mel=MEL, hop_seconds=0.01, tokens=tokens,
        amounts=np.full(len(tokens), 1 / len(tokens)), scale_max=0.1, answers=[Answer("cat", 0.9)], title="t",
        caption="c", map_ref="w", direction="from", token=0,
    )  # fmt: skip
    return written


def has_chinese_font() -> bool:
    return any("CJK" in entry.name for entry in fontManager.ttflist)


@pytest.mark.skipif(not has_chinese_font(), reason="no font with Chinese letters is installed (fonts-noto-cjk)")
def test_a_figure_has_no_boxes_where_a_font_is_installed(monkeypatch: pytest.MonkeyPatch, recwarn: Any) -> None:
    with speaking("zh"):
        written = page_of_paper(monkeypatch, QUESTION)
        assert fonts.legible() == "zh"
    assert {"图像", "文本", "声音", "时间（秒）", "梅尔频带 (Hz)", QUESTION} <= set(written)
    assert not fonts.lacking("".join(written)) and not [one for one in recwarn if "Glyph" in str(one.message)]
    assert not [words for words in written if "方框" in words or "Boxes" in words]


@pytest.fixture
def no_chinese_font(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose only font is Matplotlib's own."""
    monkeypatch.setattr(fontManager, "ttflist", [one for one in fontManager.ttflist if one.name == "DejaVu Sans"])
    fonts.families.cache_clear()
    yield
    fonts.families.cache_clear()


@pytest.mark.filterwarnings("ignore:Glyph")
def test_a_figure_says_so_where_letters_have_no_font(no_chinese_font: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fonts.families() == ["DejaVu Sans"] and fonts.lacking("a猫b猫？") == "猫？"
    written = " ".join(page_of_paper(monkeypatch, QUESTION)).replace("\n", " ")
    assert "Boxes stand for letters that no font of this machine has: U+56FE, U+7247, U+91CC, U+6709 …." in written
    monkeypatch.undo()


def test_a_chinese_figure_is_in_english_where_there_is_no_font(
    no_chinese_font: None, asked: mmviz.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    monkeypatch.setattr(
        "mmviz.report.picture.png", lambda **given: written.extend([given["title"], given["caption"]]) or b""
    )
    with speaking("zh"):
        assert fonts.legible() == "en"
        asked.png()
    assert written[0].startswith("Answer: ") and written[1].endswith(FIGURES["paper-english"])
