"""Chat templates that a visitor wrote: the same prompts as by transformers, and an end to those that have none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tiny_checkpoints  # first: it sets what transformers reads

from mmviz import make_sample
from mmviz.backends.local import LocalBackend
from mmviz.models.huggingface import prompt_tokens, template_limits
from mmviz.types import MmvizError, Request

pytestmark = pytest.mark.slow

PIXELS = np.random.default_rng(0).integers(0, 255, (60, 90, 3), np.uint8)
DEADLINE = 30
"""Seconds within which what has no end is ended, on a busy machine."""
MESSAGES = [
    {"role": "system", "content": [{"type": "text", "text": "Be brief, 'please' <b>."}]},
    {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Was ist das für ein Ding?"}]},
]
ORDINARY = {
    "blocks": "{% for m in messages %}\n  {% if m.role == 'user' %}\n{{ m.role }}\n  {% endif %}\n{% endfor %}\n",
    "json": "{{ messages | tojson }} {{ messages | tojson(indent=2) }}",
    "loops": "{% for k in range(9) %}{% if k == 2 %}{% continue %}{% endif %}{% if k > 4 %}{% break %}{% endif %}"
    "{{ k }}{% endfor %}",
    "namespace": "{% set ns = namespace(n=1) %}{% for m in messages %}{% set ns.n = ns.n * 3 %}{% endfor %}{{ ns.n }}",
    "generation": "{% generation %}{{ messages[1].content[1].text }}{% endgeneration %}",
    "special": "{{ bos_token }}{{ eos_token }}{{ pad_token }}{{ tools }}{{ documents }}{{ add_generation_prompt }}",
    "nothing": "{{ unheard_of }}{{ messages[0].unheard_of }}|",
    "chat": tiny_checkpoints.chat("<image>"),
}
ENDLESS = {
    "nested loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}{% endfor %}"
    "{% endfor %}{% endfor %}",
    "macros": "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
    "numbers": "{{ 9 ** (9 ** 9) }}",
    "long strings": "{{ ('a' * 9999999) * 9999999 }}",
    "wide strings": "{{ 'a'.ljust(99999999999) }}",
    "doubled strings": "{% set n = namespace(s='a') %}{% for k in range(99) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
    "long prompts": "{% for k in range(99999) %}{{ messages }}{% endfor %}",
}


@pytest.fixture(scope="module")
def model(llava_spec: str, llava_backend: LocalBackend) -> Any:
    return llava_backend._models[llava_spec]


@pytest.mark.parametrize("name", ORDINARY)
def test_a_prompt_is_the_one_that_transformers_makes(model: Any, name: str) -> None:
    expected = model.processor.apply_chat_template(
        MESSAGES, chat_template=ORDINARY[name], add_generation_prompt=True, tokenize=False
    )
    given = {"messages": MESSAGES, "tools": None, "documents": None, "add_generation_prompt": True}
    assert template_limits.limited_prompt(ORDINARY[name], model.tokenizer.special_tokens_map | given) == expected


def test_an_edited_template_makes_the_same_prompt_as_the_checkpoints_own(model: Any) -> None:
    sample = make_sample(PIXELS, "What is this?")
    own = model.with_options({"system": "Be brief."}).prepare(sample)
    edited = model.with_options({"system": "Be brief.", "template": model.template + "{# mine #}"}).prepare(sample)
    assert own.details["prompt"] == edited.details["prompt"] and own.streams == edited.streams


@pytest.mark.parametrize("name", ENDLESS)
def test_a_template_without_an_end_is_ended(
    llava_spec: str, llava_backend: LocalBackend, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(template_limits, "SECONDS", 2.0)
    request = Request(llava_spec, make_sample(PIXELS, "What is this?"), options=(("template", ENDLESS[name]),))
    with pytest.raises(MmvizError) as refused:
        llava_backend.run([request])
    assert refused.value.code == "hf-template-limit"


@pytest.mark.parametrize("template", [
    "{{ raise_exception('no system prompt') }}", "{{ nothing( }}", "{{ messages.__class__.__mro__ }}{{ 1 / 0 }}",
    "{{ namespace(__init__=1) }}", "{% macro m(n) %}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}",
    "{{ ''.__class__.__base__.__subclasses__() }}",
])  # fmt: skip
def test_a_template_that_cannot_be_filled_in_says_why(template: str) -> None:
    with pytest.raises(MmvizError) as refused:
        template_limits.limited_prompt(template, {"messages": MESSAGES})
    assert refused.value.code == "hf-template" and "Error" in str(refused.value)


def test_variants_of_a_sample_with_one_prompt_fill_it_in_once(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_in, times = prompt_tokens.limited_prompt, []
    monkeypatch.setattr(prompt_tokens, "limited_prompt", lambda *given: times.append(given) or fill_in(*given))
    changed = model.with_options({"template": model.template + "!"})
    for text in ("What is this?", "What is this?", "Where is it?"):
        assert (
            changed.answering((70,))
            .prepare(make_sample(PIXELS, text))
            .details["prompt"]
            .endswith(f"{text} assistant:!")
        )
    assert len(times) == 3, "one for each question, and one that tells whether the template has a place for it"
    model.with_options({"template": model.template + "!"}).prepare(make_sample(PIXELS, "What is this?"))
    assert len(times) == 5, "nothing of what a visitor asked stays behind"
