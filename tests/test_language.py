"""English and Chinese: the catalogues are whole, whoever puts something into words speaks the language asked for."""

from __future__ import annotations

import io
import sys
import threading
from collections import Counter
from itertools import pairwise
from pathlib import Path
from string import Formatter

import pytest
from babel.messages.mofile import read_mo

from mmviz.app.jobs import Job
from mmviz.i18n.language import LANGUAGES, Language, best_of, current, joined, listed, speaking, translated
from mmviz.i18n.messages import sentence
from mmviz.types import InputError, Notice

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import catalogues  # noqa: E402

DOMAINS = ("mmviz", "learn")
SAME = {
    "mmviz", "+", "−", "A − B", "A − B {amount}", "A − B, {unit}", "B: {what}", "= {count} × {each}", ", ",
    "log p({answer})", "nats", "softmax(QKᵀ/√d)", "{modality}: {token}", "{title} “{token}”: {amount}",
    "{word}: {means}", "{unit}, {range}", "{place}: {amount}", "{origin}. {changed}",
    "{answer} {probability:.1%}", "Softmax",
    "exp", "k", "q", "s", "x", "q × k", "k = W_k x + b_k", "q = W_q x + b_q", "v = W_v x + b_v",
    "q = W_q x + b_q     k = W_k x + b_k     v = W_v x + b_v", "“{token}”: {score}", "“{token}”: {terms} + … = {score}",
    "“{token}”: {score} × {scale} + {mask} = {seen}",
}  # fmt: skip
"""Texts without a word that could be Chinese: signs, formulas, names, units."""


def pairs(domain: str) -> list[tuple[str, str]]:
    """Every text of a catalogue and its Chinese, where it has one."""
    return [(one.id, one.string) for one in catalogues.read(domain) if one.id and one.string]


def is_chinese(words: str) -> bool:
    return any("\u4e00" <= letter <= "\u9fff" for letter in words)


def fields(template: str) -> Counter[tuple[str, str, str]]:
    return Counter((name, how or "", to or "") for _, name, how, to in Formatter().parse(template) if name is not None)


# the catalogues


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_text_has_its_chinese_and_none_is_left_over(domain: str) -> None:
    known, written = catalogues.templates()[domain], catalogues.read(domain)
    there = {message.id: message for message in written if message.id}
    assert not known.keys() - there.keys(), "new texts: make texts, and translate what is new"
    assert not there.keys() - known.keys(), "texts that are gone: make texts"
    assert not [text for text, message in there.items() if not message.string], "without a translation"
    assert not [text for text, message in there.items() if message.fuzzy], "a translation that nobody has looked at"
    assert not written.obsolete


@pytest.mark.parametrize("domain", DOMAINS)
def test_what_is_read_is_what_was_written(domain: str) -> None:
    compiled = read_mo(io.BytesIO(catalogues.path_of(domain).with_suffix(".mo").read_bytes()))
    assert {message.id: message.string for message in compiled if message.id} == dict(pairs(domain)), "make texts"


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_translation_is_filled_in_as_its_text_is(domain: str) -> None:
    assert not [(text, chinese) for text, chinese in pairs(domain) if fields(text) != fields(chinese)]
    for text, chinese in pairs(domain):
        assert text.count("<br>") == chinese.count("<br>") and text.count("\n") == chinese.count("\n"), text


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_translation_is_chinese_written_as_chinese_is(domain: str) -> None:
    found = pairs(domain)
    assert not [text for text, chinese in found if not is_chinese(chinese) and text not in SAME]
    assert not [chinese for _, chinese in found for mark in ",;:?!." if has_half(chinese, mark)], "marks of English"
    assert not [chinese for _, chinese in found if set(chinese) & set('「」"')], "quotation marks are “ and ”"
    assert not [text for text, chinese in found if text.endswith(".") and chinese[-1] not in "。）}"], "no full stop"


def test_what_may_stay_as_it_is_is_there() -> None:
    assert not SAME - {text for domain in DOMAINS for text, _ in pairs(domain)}


def has_half(words: str, mark: str) -> bool:
    """Whether a narrow mark follows a Chinese letter."""
    return any(is_chinese(letter) and after == mark for letter, after in pairwise(words))


# who speaks


def test_english_is_spoken_unless_told_otherwise() -> None:
    assert current() == "en" and sentence("input-none").startswith("There is nothing")
    with speaking("zh"):
        assert current() == "zh" and sentence("input-none").startswith("没有可看")
        with speaking("en"):
            assert sentence("input-none").startswith("There is nothing")
        assert sentence("picture-turned").startswith("已按")
    assert current() == "en"
    with pytest.raises(ValueError, match="none of en, zh"), speaking("fr"):  # type: ignore[arg-type]
        pass


def test_a_refusal_is_put_into_words_when_it_is_told() -> None:
    refusal, notice = InputError("text-long", length=12_345, limit=10_000), Notice("sound-mixed", {"channels": 2})
    assert str(refusal) == "The text has 12,345 characters; mmviz takes at most 10,000. Shorten it and try again."
    with speaking("zh"):
        assert str(refusal) == "文本有 12,345 个字符；mmviz 最多接受 10,000 个。请缩短后重试。"
        assert str(notice) == "声音的 2 个声道已混为一个。"
        made_in_chinese = InputError("text-blank")
    assert str(made_in_chinese).startswith("The text is blank")


def test_what_has_no_translation_stays_as_it_is() -> None:
    with speaking("zh"):
        assert translated("") == "" and translated("Nobody wrote this {down}.") == "Nobody wrote this {down}."


def test_parts_are_listed_and_sentences_joined_as_the_language_does() -> None:
    assert (listed("ab"), joined(["A.", "B."])) == ("a, b", "A. B.")
    with speaking("zh"):
        assert (listed("ab"), joined(["甲。", "乙。"])) == ("a、b", "甲。乙。")


@pytest.mark.parametrize(
    ("tags", "best"),
    [
        (["zh-CN"], "zh"), (["zh"], "zh"), (["zh-Hans-CN"], "zh"), (["zh_CN.UTF-8"], "zh"), (["ZH-hans"], "zh"),
        (["zh-TW"], "zh"), (["zh-Hant-HK", "en"], "zh"), (["en-US", "zh-CN"], "en"), (["en"], "en"),
        (["fr-FR", "de", "zh-CN", "en"], "zh"), (["fr"], None), (["zha"], None), ([], None), ([None, "", "*"], None),
    ],
)  # fmt: skip
def test_the_best_of_a_browsers_languages(tags: list[str | None], best: Language | None) -> None:
    assert best_of(tags) == best


def test_threads_do_not_hear_each_other() -> None:
    both, told = threading.Barrier(2), dict[Language, str]()

    def tell(language: Language) -> None:
        with speaking(language):
            both.wait(10)
            told[language] = sentence("input-none")

    threads = [threading.Thread(target=tell, args=(language,)) for language in LANGUAGES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert told["en"].startswith("There") and told["zh"].startswith("没有")


def test_work_beside_the_page_speaks_the_language_of_whoever_wants_it() -> None:
    with speaking("zh"):
        job = Job(lambda *_: sentence("picture-empty"))
    assert job.wait(10) and job.result is not None and is_chinese(job.result)
    plain = Job(lambda *_: sentence("picture-empty"))
    assert plain.wait(10) and plain.result == "The picture holds no pixels at all. Choose another file."
