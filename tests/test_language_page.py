"""The page, documents and figures in Chinese, and with Chinese in them."""

from __future__ import annotations

import html
import io
import json
import re
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from app_page import EXAMPLES, FULL, address, markup, notes, now, payload, press, run, short_curves, visit, word
from made_up_tokens import ANSWER, FRAMES, MEL, PATCHES, PIXELS, RATE, WAVE
from matplotlib.font_manager import findSystemFonts, fontManager
from matplotlib.text import Text
from PIL import Image
from streamlit.runtime.scriptrunner import add_script_run_ctx
from streamlit.testing.v1 import AppTest

import mmviz
from mmviz.app import visitor_language as visitor
from mmviz.app.pages.debug import audit
from mmviz.app.pages.explore import footer
from mmviz.app.selection_amounts import SelectionView
from mmviz.backends.local import LocalBackend
from mmviz.figures import fonts, print_figure
from mmviz.figures.text_wrapping import clipped, display_width, wrap_text
from mmviz.figures.token_labels import full_names, names
from mmviz.figures.token_matrix import token_matrix
from mmviz.i18n.figures import FIGURES
from mmviz.i18n.language import current_language, use_language
from mmviz.i18n.viewer import WORDS
from mmviz.models import CATALOGUE
from mmviz.models.question_templates import TEMPLATES, known_words
from mmviz.report import ViewerData
from mmviz.types import Answer, Chars, Modality, Token
from mmviz.viewer.binary_format import decode

pytestmark = pytest.mark.slow

QUESTION = "图片里有一只猫吗？"
NAMES = set(
    "mmviz trio toy English CPU GPU PNG JPEG JPG WebP GIF WAV FLAC OGG MP3 M4A AAC WebM MP4 html npz json png pdf svg "
    "csv zip softmax max Shapley rollout sink register nat Run load mmviz audit FOLDER capture result relevance Abnar "
    "Zuidema Kobayashi Chefer Sundararajan Vaswani AMD EPYC Intel Xeon Processor GHz thread threads MASK Esc Shift "
    "log Tab exp Ctrl Home End HEIC AVIF TIFF BMP AIFF AMR WMA float".split()
)
"""Words that are the same in both languages: names, formats, units, commands; case is ignored."""
SHOWN = ("label", "help", "body", "options", "placeholder", "alt", "caption", "text", "title", "spec", "columns")
"""Fields of Streamlit's elements that a visitor reads, also with a screen reader."""


@cache
def shared_words() -> frozenset[str]:
    """Returns names, and the words of the model and its questions, in small letters."""
    model = {*known_words(), "yes", "no", "nothing", "none", "text", "picture", "sound", "image", "audio"}
    questions = " ".join([*(example.question for example in EXAMPLES), *sum(TEMPLATES.values(), ()), *CATALOGUE])
    return frozenset(word.lower() for word in (*NAMES, *model, *re.findall(r"[A-Za-z]+", questions)))


def english_words(text: str) -> set[str]:
    """Returns the English words of a text that are neither names nor words of the model or its questions."""
    return {word for word in re.findall(r"[A-Za-z]{3,}", text) if word.lower() not in shared_words()}


def visible_text(page: AppTest) -> str:
    """Returns all text on the page; of the viewer, the data that it is sent."""
    texts: list[str] = []
    for element in [*page.main, *page.sidebar]:
        texts += _texts(element)
    return "\n".join(texts)


def _texts(element: Any) -> Iterator[str]:
    for child in getattr(element, "children", {}).values():
        yield from _texts(child)
    proto = getattr(element, "proto", None)
    if proto is None:
        return
    for field, value in proto.ListFields():
        values = value if field.is_repeated else [value]
        if field.name in SHOWN:
            yield from (_plain(text) for text in values if isinstance(text, str))
        elif field.message_type is not None and not field.message_type.GetOptions().map_entry:
            for inner in values:
                yield from (
                    _plain(text) for kind, text in inner.ListFields() if kind.name in SHOWN and isinstance(text, str)
                )


def _plain(source: str) -> str:
    """Returns the readable text of HTML, Markdown or a Plotly figure: no tags, but their titles and labels."""
    if source.startswith("{"):
        return " ".join(_figure_texts(json.loads(source)))
    source = re.sub(r"<(style|script)>.*?</\1>", " ", source, flags=re.DOTALL)
    attributes = re.findall(r"(?:title|alt|aria-label)='([^']*)'", source)
    return html.unescape(" ".join([*attributes, re.sub(r"<[^>]*>", " ", source)]))


def _figure_texts(figure: Any, key: str = "") -> Iterator[str]:
    """Returns the texts of a Plotly figure."""
    if isinstance(figure, dict):
        for name, value in figure.items():
            yield from _figure_texts(value, name)
    elif isinstance(figure, list):
        for value in figure:
            yield from _figure_texts(value, key)
    elif isinstance(figure, str) and key in ("text", "hovertemplate", "ticktext", "name", "x", "y"):
        yield re.sub(r"<[^>]*>|%\{[^}]*\}", " ", figure)


def settled(page: AppTest) -> AppTest:
    for _ in range(240):
        works = list(now(page).experiments.values())
        if works and all(work.wait(1) for work in works):
            run(page)
            if len(now(page).experiments) == len(works):
                return page
        else:
            run(page)
    raise AssertionError("the experiments do not end")


# the page


def test_the_address_or_the_switch_makes_the_page_chinese_and_english_is_the_default() -> None:
    page = visit(lang="zh", query="9999")
    assert [button.label for button in page.button[:2]] == ["探索", "调试"] and page.button("run").label == "运行"
    assert "在融合模型内部" in markup(page) and "回答正确。" in markup(page)
    assert "没有的内容（query）" in notes(page, "remark")[0]
    assert address(page)["lang"] == "zh" and address(page)["query"] == "0"
    assert payload(page)[0]["texts"]["help"] == "如何使用查看器" and payload(page)[0]["language"] == "zh-CN"
    assert not english_words(visible_text(page).replace("query", "")), "on the page"
    header = payload(page)[0]
    viewer = " ".join([*header["texts"].values(), *header["streams"]["tokens"]["full_name"]])
    assert not english_words(re.sub(r"\{\w+\}", " ", viewer)), "in the viewer"
    press(press(page, "own"), "run")
    assert notes(page, "error") == ["<div class='note error' role='alert'>没有输入。请提供图像、文本或音频。</div>"]
    another_visitor_has_english_and_switches()


def another_visitor_has_english_and_switches() -> None:
    page = visit(query="9999")
    assert page.button("run").label == "Run" and "lang" not in address(page)
    assert payload(page)[0]["texts"] == WORDS and payload(page)[0]["language"] == "en"
    assert "does not have (query)" in notes(page, "remark")[0]
    press(page, "language-zh")
    assert page.button("run").label == "运行" and address(page)["lang"] == "zh"
    assert "没有的内容（query）" in notes(page, "remark")[0], "earlier notes are worded again"
    assert payload(page)[0]["texts"]["help"] == "如何使用查看器" and word(page) == now(page).run.record.answers[0].label
    with use_language("zh"):  # AppTest words the choices itself
        press(page, "page-debug")
        assert address(page)["lang"] == "zh" and address(page)["page"] == "debug"
        press(press(page, "page-explore"), "language-en")
    assert page.button("run").label == "Run" and address(page)["lang"] == "en"


@pytest.mark.parametrize(
    ("named", "browser", "label"),
    [("", "zh-CN", "运行"), ("", "zh-Hant-TW", "运行"), ("", "en-GB", "Run"), ("", "fr-FR", "Run"),
     ("en", "zh-CN", "Run"), ("zh", "en-US", "运行"), ("xx", "zh", "运行")],
)  # fmt: skip
def test_the_address_takes_precedence_over_the_browser(
    named: str, browser: str, label: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visitor, "_browser_languages", lambda: [browser])
    monkeypatch.setattr("mmviz.app.router.is_admitted", lambda access: _only_the_button())
    page = visit(**({"lang": named} if named else {}))
    assert page.button("first").label == label


def _only_the_button() -> bool:
    import streamlit as st

    from mmviz.i18n.page import say

    st.button(say("run"), key="first")
    return False


@pytest.mark.parametrize("section", ["effect", "heads", "faithfulness", "compare", "audit"])
def test_every_section_of_debug_is_chinese(section: str, monkeypatch: pytest.MonkeyPatch) -> None:
    short_curves(monkeypatch)
    monkeypatch.setattr(audit, "load_gallery", lambda: [FULL, *(e for e in EXAMPLES if e.image is None)][:2])
    with use_language("zh"):  # AppTest words the choices itself
        page = settled(visit(lang="zh", page="debug", section=section))
    assert not english_words(visible_text(page))
    for frame in page.dataframe:
        assert not english_words(" ".join(frame.value.columns))


def test_a_thread_that_draws_a_part_of_the_page_uses_the_visitors_language(monkeypatch: pytest.MonkeyPatch) -> None:
    class Context:
        """A stand-in for a run of the script."""

    languages: dict[str, str] = {}
    monkeypatch.setattr(visitor.st, "session_state", {"mmviz-language": "zh"})

    def note_language(name: str) -> None:
        languages[name] = current_language()

    with_context, without = (threading.Thread(target=note_language, args=(name,)) for name in ("visitor", "other"))
    add_script_run_ctx(with_context, Context())  # type: ignore[arg-type]
    for thread in (with_context, without):
        thread.start()
        thread.join(10)
    assert languages == {"visitor": "zh", "other": "en"}


def test_downloads_are_in_the_language_in_which_they_were_offered() -> None:
    page = visit(lang="zh")
    state = now(page)
    assert state.run is not None and state.selection is not None
    with use_language("zh"):
        downloads = footer.downloads(SelectionView(state.run, state.selection))
    assert current_language() == "en"
    document = html.unescape(downloads["save-page"][0]().decode("ascii"))
    assert '<html lang="zh-CN">' in document and "<title>答案：" in document
    assert '<html lang="en">' in state.run.to_html()


# Chinese input


@pytest.fixture(scope="module")
def chinese_run() -> mmviz.Run:
    return mmviz.explain(image=FULL.image, text=QUESTION, audio=FULL.audio, backend=LocalBackend("cpu"))


def test_chinese_characters_have_their_locations(chinese_run: mmviz.Run) -> None:
    tokens = [token for token in chinese_run.tokens if token.modality is Modality.TEXT]
    assert len(tokens) > 1
    spans = [token.location for token in tokens]
    assert all(isinstance(span, Chars) for span in spans)
    covered = {place for span in spans if isinstance(span, Chars) for place in range(span.start, span.end)}
    assert covered == set(range(len(QUESTION))), "every character is in a token"
    assert [span.start for span in spans if isinstance(span, Chars)] == sorted(
        span.start for span in spans if isinstance(span, Chars)
    )


def test_chinese_text_passes_through_every_view(chinese_run: mmviz.Run) -> None:
    summary = json.loads(json.dumps(chinese_run.summary(), ensure_ascii=False))
    spans = [token["chars"] for token in summary["tokens"]["text"]]
    assert spans[0][0] == 0 and spans[-1][1] == len(QUESTION)
    again = mmviz.Run.load(_saved(chinese_run))
    assert again.sample.text == QUESTION
    with use_language("zh"):
        header, _ = decode(ViewerData(chinese_run).to_bytes())
        assert "".join(piece for piece, _ in header["text_pieces"]["tokens"]) == QUESTION
        assert len(chinese_run.to_html()) > 10_000
        assert Image.open(io.BytesIO(chinese_run.png())).size[0] == 1600
        matrix = token_matrix(np.eye(len(chinese_run.tokens)), chinese_run.tokens, chinese_run.tokens, QUESTION, 1)
        assert QUESTION[:5] in matrix.layout.title.text


def _saved(example_run: mmviz.Run) -> Any:
    import tempfile
    from pathlib import Path

    path = Path(tempfile.mkdtemp()) / "run.npz"
    example_run.save(path)
    return path


def test_chinese_can_be_typed_into_the_page(no_recordings: object) -> None:
    page = visit(lang="zh")
    page.text_input("question").set_value(QUESTION)
    run(page)
    header, _ = payload(page)
    assert "".join(piece for piece, _ in header["text_pieces"]["tokens"]) == QUESTION
    assert "不符合该模型训练所用的任何问法" in markup(page) and now(page).run.sample.text == QUESTION


def test_the_viewers_data_are_in_the_readers_language(chinese_run: mmviz.Run) -> None:
    data = ViewerData(chinese_run)
    english = decode(data.to_bytes())[0]
    with use_language("zh"):
        header = decode(data.to_bytes())[0]
    assert "".join(piece for piece, _ in english["text_pieces"]["tokens"]) == QUESTION
    assert english["language"] == "en" and header["language"] == "zh-CN"
    assert header["texts"]["comma"] != english["texts"]["comma"]
    assert header["streams"]["tokens"]["name"][-1].endswith(" 秒")
    assert decode(data.to_bytes())[0] == english


# figures


def test_tokens_are_named_in_the_current_language() -> None:
    tokens = [ANSWER, Token(Modality.AUDIO, "absent"), Token(Modality.SPECIAL, "[CLS]"), PATCHES[0], FRAMES[0]]
    assert names(tokens)[:4] == ["answer", "sound: missing", "[CLS]", "patch 1,1"]
    with use_language("zh"):
        assert names(tokens)[:4] == ["答案", "声音：缺失", "[CLS]", "图块 1,1"]
        assert full_names(tokens)[0] == "特殊词元：答案"
        assert full_names(tokens)[3].startswith("第 1 行第 1 列的图块\n（x 0 到 ")


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
    assert wrap_text(words, letters) == expected
    assert all(display_width(line) <= letters for line in expected)


def test_text_is_clipped_by_its_width() -> None:
    assert clipped("a  b\nc", 5) == "a b c" and clipped("abcdef", 4) == "abc…"
    assert clipped("注意力", 6) == "注意力" and clipped("注意力表", 6) == "注意…"


def page_of_paper(monkeypatch: pytest.MonkeyPatch, text: str) -> list[str]:
    """Returns all text of a figure for print."""
    tokens = [ANSWER, Token(Modality.TEXT, text, Chars(0, len(text))), *PATCHES, *FRAMES]
    written: list[str] = []
    real = Text.set_text
    monkeypatch.setattr(Text, "set_text", lambda self, words: (written.append(str(words)), real(self, words))[1])
    shown = print_figure.PrintedMap(
        image=PIXELS, text=text, wave=WAVE, rate=RATE, mel=MEL, hop_seconds=0.01, tokens=tokens,
        amounts=np.full(len(tokens), 1 / len(tokens)), scale_max=0.1, answers=[Answer("cat", 0.9)], title="t",
        caption="c", method="w", direction="from", token=0,
    )  # fmt: skip
    print_figure.print_figure([shown])
    return written


def has_chinese_font() -> bool:
    return any("CJK" in name for name in fonts.families())


@pytest.mark.skipif(not has_chinese_font(), reason="no font with Chinese letters is installed (fonts-noto-cjk)")
def test_a_figure_has_no_boxes_where_a_font_is_installed(monkeypatch: pytest.MonkeyPatch, recwarn: Any) -> None:
    with use_language("zh"):
        written = page_of_paper(monkeypatch, QUESTION)
        assert fonts.drawable_language() == "zh"
    assert {"图像", "文本", "声音", "时间（秒）", "梅尔频带 (Hz)", QUESTION} <= set(written)
    assert not fonts.missing_characters("".join(written)) and not [
        warning for warning in recwarn if "Glyph" in str(warning.message)
    ]
    assert not [words for words in written if "方框" in words or "Boxes" in words]


@pytest.fixture
def no_chinese_font(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose only font is Matplotlib's own."""
    monkeypatch.setattr(fontManager, "ttflist", [font for font in fontManager.ttflist if font.name == "DejaVu Sans"])
    monkeypatch.setattr(fonts, "findSystemFonts", list)
    fonts.families.cache_clear()
    yield
    fonts.families.cache_clear()


@pytest.mark.filterwarnings("ignore:Glyph")
def test_a_figure_says_which_characters_have_no_font(no_chinese_font: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fonts.families() == ["DejaVu Sans"] and fonts.missing_characters("a猫b猫？") == "猫？"
    written = " ".join(page_of_paper(monkeypatch, QUESTION)).replace("\n", " ")
    assert "Boxes stand for characters that no installed font has: U+56FE, U+7247, U+91CC, U+6709 …." in written
    monkeypatch.undo()


def test_a_font_is_used_that_was_installed_after_matplotlib_made_its_list(
    no_chinese_font: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Else the advice to install a font would not help."""
    paths = [str(tmp_path / "broken.ttf"), *(path for path in findSystemFonts() if "NotoSansCJK" in path)]
    if len(paths) == 1:
        pytest.skip("no Noto Sans CJK is installed (fonts-noto-cjk)")
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    with use_language("zh"):
        assert fonts.drawable_language() == "en"
        monkeypatch.setattr(fonts, "findSystemFonts", lambda: paths)
        fonts.families.cache_clear()
        assert fonts.drawable_language() == "zh" and not fonts.missing_characters("图片里有什么？")


def test_a_chinese_figure_is_in_english_where_there_is_no_font(
    no_chinese_font: None, chinese_run: mmviz.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []

    def note_words(maps: list[print_figure.PrintedMap], file_format: str) -> bytes:
        written.extend([maps[0].title, maps[0].caption])
        return b""

    monkeypatch.setattr("mmviz.report.run_figure.print_figure", note_words)
    with use_language("zh"):
        assert fonts.drawable_language() == "en"
        chinese_run.png()
    assert written[0].startswith("Reads from · Answer: ") and written[1].endswith(FIGURES["paper-english"])
