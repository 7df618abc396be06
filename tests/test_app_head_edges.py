"""A click on a head opens the viewer on the token that carries its effect, and its edges stand beside the grid."""

from __future__ import annotations

import html

import pytest
from app_page import click, markup, notes, now, run, selected, settled
from test_app_debug import FIRST, debug, press

from mmviz.analysis.answer_token import answer_query
from mmviz.backends.local import LocalBackend
from mmviz.experiments.head_ablation import DEAD, measure_head_ablation
from mmviz.experiments.head_edges import measure_head_edges
from mmviz.i18n.page import say
from mmviz.types import Request

pytestmark = [pytest.mark.slow, pytest.mark.long]


def test_a_click_on_a_head_opens_the_viewer_on_the_token_that_carries_it() -> None:
    backend, request = LocalBackend("cpu"), Request("trio", FIRST.sample())
    (record,) = backend.run([request])
    effects = sorted(measure_head_ablation(backend, request, record), key=lambda effect: effect.effect)
    needed = effects[0]
    edges = measure_head_edges(backend, request, record, needed.map, needed.head)
    strongest = edges.strongest

    page = debug("heads")
    assert html.escape(say("edges-hint")) in markup(page)
    point = {"customdata": [needed.map, needed.head]}
    page = settled(click(page, page.get("plotly_chart")[0], points=[point]))
    assert now(page).page == "explore" and page.get("bidi_component")
    selection = selected(page)
    assert str(selection.map_ref) == f"{needed.map}:{needed.head}"
    is_of_key = strongest is not None and len(strongest.queries) > 1
    assert selection.direction == ("to" if is_of_key else "from")
    expected = (answer_query(record),) if strongest is None else strongest.keys if is_of_key else strongest.queries
    assert selection.tokens == expected
    opened = f"Layer {needed.map + 1}, head {needed.head + 1}, opened on"
    assert any(opened in text for text in notes(page, "remark"))

    page = press(page, "page-debug")
    assert now(page).page == "debug", "what was clicked does not open once more"
    body = markup(page)
    assert html.escape(say("edges-hint")) not in body
    assert say("edges-title", head=f"layer {needed.map + 1}, head {needed.head + 1}") in body
    table, heads = page.dataframe
    assert len(table.value) == len(edges.together) and len(heads.value) == len(effects)
    assert list(table.value.iloc[:, 3]) == pytest.approx([edge.effect for edge in edges.together], abs=1e-4)
    assert f"--edges {needed.map}:{needed.head}" in page.code[0].value

    last = len(edges.together) - 1
    page = run(click(page, table, cells=[[last, "query"]]))
    edge = edges.edges[last]
    assert now(page).page == "explore"
    assert selected(page).tokens == (edge.keys if len(edge.queries) > 1 else edge.queries)

    page = press(page, "page-debug")
    idle = next(row for row, effect in enumerate(effects) if abs(effect.effect) < DEAD)
    page = settled(click(page, page.dataframe[-1], cells=[[idle, "layer"]]))
    assert now(page).page == "explore" and selected(page).tokens == (answer_query(record),)
    assert selected(page).map_ref == record.map_ref(effects[idle].map, effects[idle].head)
    assert any("It does nothing for this answer" in text for text in notes(page, "remark"))
    page = press(page, "page-debug")
    assert any("This head does nothing for this answer" in text for text in notes(page, "remark"))
    assert len(page.dataframe) == 1
