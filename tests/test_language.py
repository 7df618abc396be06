"""English and Chinese: complete catalogues, the language in use, and the choice of a visitor's language."""

from __future__ import annotations

import ast
import io
import math
import re
import sys
import threading
from collections import Counter
from itertools import pairwise
from pathlib import Path
from string import Formatter

import numpy as np
import pytest
from babel.messages.mofile import read_mo
from processes import free_port

from mmviz.app.jobs import Job
from mmviz.backends.remote import RemoteBackend
from mmviz.cli import _parser
from mmviz.i18n import command_help
from mmviz.i18n.errors_and_notices import SENTENCES, sentence
from mmviz.i18n.language import (
    LANGUAGES,
    Language,
    current_language,
    join_list,
    join_sentences,
    preferred_language,
    translate,
    translated,
    use_language,
)
from mmviz.i18n.minus_sign import NegativeNumber, scientific_text, signed_text
from mmviz.inputs.example_manifest import entries_of
from mmviz.inputs.place_annotations import read_places
from mmviz.inputs.uploaded_examples import files_of
from mmviz.types import InputError, MmvizError, Notice

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import catalogues  # noqa: E402

DOMAINS = ("mmviz", "learn")
SAME = {
    "mmviz", "+", "−", "A − B", "A − B {amount}", "A − B, {unit}", "B: {what}", "= {count} × {each}",
    "{count} × {name}", ", ",
    "log p({answer})", "nats", "softmax(QKᵀ/√d)", "{modality}: {token}", "{title} “{token}”: {amount}",
    "{word}: {means}", "{unit}, {range}", "{place}: {amount}", "→ “{answer}”", "{size} nats",
    "{time} {question} → {answer}",
    "{answer} {probability:.1%}", "Softmax",
    "exp", "k", "q", "s", "x", "q × k", "k = W_k x + b_k", "q = W_q x + b_q", "v = W_v x + b_v",
    "q = W_q x + b_q     k = W_k x + b_k     v = W_v x + b_v", "“{token}”: {score}", "“{token}”: {terms} + … = {score}",
    "“{token}”: {score} × {scale} + {mask} = {logit}",
}  # fmt: skip
"""Texts without a word to translate: signs, formulas, names, units."""


def translations(domain: str) -> list[tuple[str, str]]:
    """Returns every translated text of a catalogue with its Chinese."""
    return [(message.id, message.string) for message in catalogues.read(domain) if message.id and message.string]


def is_chinese(text: str) -> bool:
    return any("\u4e00" <= character <= "\u9fff" for character in text)


def fields(template: str) -> Counter[tuple[str, str, str]]:
    parts = Formatter().parse(template)
    return Counter((name, spec or "", conversion or "") for _, name, spec, conversion in parts if name is not None)


# the catalogues


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_text_is_translated_and_no_translation_is_left_over(domain: str) -> None:
    texts, catalogue = catalogues.templates()[domain], catalogues.read(domain)
    messages = {message.id: message for message in catalogue if message.id}
    assert not texts.keys() - messages.keys(), "new texts: run make texts, and translate what is new"
    assert not messages.keys() - texts.keys(), "removed texts: run make texts"
    assert not [text for text, message in messages.items() if not message.string], "without a translation"
    assert not [text for text, message in messages.items() if message.fuzzy], "a translation to be checked"
    assert not catalogue.obsolete


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_compiled_catalogue_equals_its_source(domain: str) -> None:
    compiled = read_mo(io.BytesIO(catalogues.path_of(domain).with_suffix(".mo").read_bytes()))
    messages = {message.id: message.string for message in compiled if message.id}
    assert messages == dict(translations(domain)), "make texts"


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_translation_has_the_placeholders_of_its_text(domain: str) -> None:
    pairs = translations(domain)
    assert not [(text, chinese) for text, chinese in pairs if fields(text) != fields(chinese)]
    for text, chinese in pairs:
        assert text.count("<br>") == chinese.count("<br>") and text.count("\n") == chinese.count("\n"), text


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_translation_follows_chinese_punctuation(domain: str) -> None:
    pairs = translations(domain)
    assert not [text for text, chinese in pairs if not is_chinese(chinese) and text not in SAME]
    assert not [chinese for _, chinese in pairs for mark in ",;:?!." if has_half_width(chinese, mark)]
    assert not [chinese for _, chinese in pairs if set(chinese) & set('「」"')], "quotation marks are “ and ”"
    assert not [text for text, chinese in pairs if text.endswith(".") and chinese[-1] not in "。）}"], "no full stop"


def test_every_text_that_needs_no_translation_exists() -> None:
    assert not SAME - {text for domain in DOMAINS for text, _ in translations(domain)}


def has_half_width(text: str, mark: str) -> bool:
    """Returns whether a half-width mark follows a Chinese character."""
    return any(is_chinese(character) and following == mark for character, following in pairwise(text))


# the language in use


def test_the_language_is_english_by_default() -> None:
    english, chinese = (
        "There is no input. Give an image, a text or an audio clip.",
        "没有输入。请提供图像、文本或音频。",
    )
    assert current_language() == "en" and sentence("input-none") == english
    with use_language("zh"):
        assert current_language() == "zh" and sentence("input-none") == chinese
        with use_language("en"):
            assert sentence("input-none") == english
        assert sentence("input-none") == chinese
    assert current_language() == "en"
    with pytest.raises(ValueError, match="en, zh"), use_language("fr"):  # type: ignore[arg-type]
        pass


def test_errors_and_notices_are_worded_when_shown() -> None:
    error, notice = InputError("text-long", length=12_345, limit=10_000), Notice("audio-mixed", {"channels": 2})
    assert str(error) == "The text has 12,345 characters. mmviz accepts at most 10,000. Shorten it and try again."
    with use_language("zh"):
        assert str(error) == "文本有 12,345 个字符。mmviz 最多接受 10,000 个。请缩短后重试。"
        assert str(notice) == "音频的 2 个声道已混为一个。"
        raised_in_chinese = InputError("text-blank")
    assert str(raised_in_chinese) == sentence("text-blank") and not is_chinese(str(raised_in_chinese))


def test_a_text_without_translation_stays_english() -> None:
    with use_language("zh"):
        assert translated("") == "" and translated("This text is in no catalogue {name}.").startswith("This text")


def test_a_text_is_looked_up_by_its_code_and_its_placeholders_are_filled() -> None:
    assert translate({"code": "A {name} {{x}}"}, "code", name="B") == "A B {x}"
    with use_language("zh"):
        assert translate(SENTENCES, "input-none") == sentence("input-none") != SENTENCES["input-none"]
    for code, parameters in (("unknown", {"name": "B"}), ("code", {})):
        with pytest.raises(KeyError):
            translate({"code": "A {name}"}, code, **parameters)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_number_below_0_has_a_minus_sign(language: Language) -> None:
    texts = {"loss": "{size:+.2f} nats, {size:>8.1e}|{zero:.2f}|{zero:+.2f}|{up:+.1f}|{count}|{bare}"}
    with use_language(language):
        shown = translate(texts, "loss", size=np.float32(-2.964), zero=-0.001, up=0.5, count=-3, bare=-0.5)
    assert shown == "−2.96 nats, −3.0e+00|0.00|+0.00|+0.5|-3|-0.5"
    assert [signed_text(value) for value in (-2.956, 0.5, -0.001)] == ["−2.96", "+0.50", "+0.00"]
    assert f"{NegativeNumber(-math.inf):.2f}" == "−inf"
    assert [scientific_text(value) for value in (1.24e-5, 9.96e9, 0)] == ["1.2 × 10⁻⁵", "1.0 × 10¹⁰", "0.0 × 10⁰"]


def test_lists_and_sentences_are_joined_as_the_language_does() -> None:
    assert (join_list("ab"), join_sentences(["A.", "B."])) == ("a, b", "A. B.")
    with use_language("zh"):
        assert (join_list("ab"), join_sentences(["甲。", "乙。"])) == ("a、b", "甲。乙。")


@pytest.mark.parametrize(
    ("tags", "language"),
    [
        (["zh-CN"], "zh"), (["zh"], "zh"), (["zh-Hans-CN"], "zh"), (["zh_CN.UTF-8"], "zh"), (["ZH-hans"], "zh"),
        (["zh-TW"], "zh"), (["zh-Hant-HK", "en"], "zh"), (["en-US", "zh-CN"], "en"), (["en"], "en"),
        (["fr-FR", "de", "zh-CN", "en"], "zh"), (["fr"], None), (["zha"], None), ([], None), ([None, "", "*"], None),
    ],
)  # fmt: skip
def test_the_first_known_language_of_a_browser_is_used(tags: list[str | None], language: Language | None) -> None:
    assert preferred_language(tags) == language


def test_each_thread_has_its_own_language() -> None:
    barrier, sentences = threading.Barrier(2), dict[Language, str]()

    def word(language: Language) -> None:
        with use_language(language):
            barrier.wait(10)
            sentences[language] = sentence("input-none")

    threads = [threading.Thread(target=word, args=(language,)) for language in LANGUAGES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert not is_chinese(sentences["en"]) and is_chinese(sentences["zh"])


def test_a_job_uses_the_language_of_its_starter() -> None:
    with use_language("zh"):
        job = Job(lambda *_: sentence("image-empty"))
    assert job.wait(10) and job.result is not None and is_chinese(job.result)
    english = Job(lambda *_: sentence("image-empty"))
    assert english.wait(10) and english.result == sentence("image-empty") and not is_chinese(english.result)


def test_the_help_of_the_command_line_stands_with_the_other_texts() -> None:
    calls = [
        (path.name, keyword.value)
        for path in (ROOT / "mmviz" / "cli").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)
        for keyword in node.keywords if keyword.arg in ("help", "description", "epilog")
    ]  # fmt: skip
    assert len(calls) > 100
    assert not [(name, ast.unparse(value)) for name, value in calls if not ast.unparse(value).startswith("help_text(")]


def test_every_text_of_the_help_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = set()

    class Watched(dict[str, str]):
        def __getitem__(self, name: str) -> str:
            shown.add(name)
            return super().__getitem__(name)

    monkeypatch.setattr(command_help, "HELP", Watched(command_help.HELP))
    parser = _parser()
    assert shown == command_help.HELP.keys()
    assert command_help.HELP["mmviz-epilog"] in parser.format_help()


def test_a_reason_inside_a_sentence_speaks_its_language() -> None:
    refused = {
        "reason-damaged": lambda: files_of([("examples.zip", b"no archive")]),
        "reason-list": lambda: entries_of("examples.json", b"3"),
        "reason-places-interval": lambda: read_places({"audio": [[2, 1]]}, "cat"),
        "reason-nothing-listens": lambda: RemoteBackend(f"http://127.0.0.1:{free_port()}").models(),
    }
    for code, call in refused.items():
        with pytest.raises(MmvizError) as error:
            call()
        why = error.value.parameters["why"]
        assert (why.code, str(why)) == (code, sentence(code, **why.parameters)) and str(why) in str(error.value)
        with use_language("zh"):
            assert is_chinese(str(why)) and str(why) in str(error.value)


def test_no_reason_of_an_error_is_written_where_it_is_raised() -> None:
    reasons = [
        (path.name, node.lineno, ast.unparse(keyword.value))
        for path in (ROOT / "mmviz").rglob("*.py") if "why=" in (source := path.read_text("utf-8"))
        for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)
        for keyword in node.keywords if keyword.arg == "why"
    ]  # fmt: skip
    assert len(reasons) > 20
    assert not [reason for reason in reasons if re.search(r"['\"][^'\"]*[a-z]{2,} [a-z]{2,}", reason[2])]


def test_no_command_prints_words_of_its_own() -> None:
    printed = []
    for path in (ROOT / "mmviz" / "cli").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "print":
                pieces = [piece for text in node.args for piece in getattr(text, "values", [text])]
                printed += [(path.name, piece.value) for piece in pieces if isinstance(piece, ast.Constant)]
    assert ("__init__.py", "mmviz: ") in printed
    assert not [(name, text) for name, text in printed if re.search(r"[a-z]{2,}:? [a-z]{2,}|[a-z]{3,}: $", text)
                and text != "mmviz: "]  # fmt: skip
