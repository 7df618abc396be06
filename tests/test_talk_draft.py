"""A talk that is put together by hand: its order, its texts, its bounds, and runs that are gone."""

from __future__ import annotations

import html

from made_up_talk import recorded_run, story

from mmviz.app.talk_draft import MAX_RUNS, MAX_SLIDES, RunRef, TalkDraft
from mmviz.present import Slide, Talk, make_talk

FIRST, SECOND = RunRef("a", "example", ""), RunRef("b", "", "id")
RUNS = {FIRST: recorded_run(), SECOND: recorded_run(3)}


def titles(draft: TalkDraft) -> list[str]:
    return [each.slide.title for each in draft.slides]


def filled() -> TalkDraft:
    """Three slides of texts, and the first one is chosen."""
    draft = TalkDraft()
    assert draft.add([Slide("answer", title) for title in "abc"], FIRST) == 3
    draft.chosen = draft.slides[0].number
    return draft


def test_slides_are_moved_added_behind_the_chosen_one_and_removed() -> None:
    draft = filled()
    first, second, third = (each.number for each in draft.slides)
    draft.move(first, 1)
    assert titles(draft) == ["b", "a", "c"]
    draft.move(third, -1)
    draft.move(third, -1)
    draft.move(third, -1)
    assert titles(draft) == ["c", "b", "a"] and draft.chosen == third
    draft.add([Slide("answer", "d"), Slide("answer", "e")], SECOND)
    assert titles(draft) == ["c", "d", "e", "b", "a"] and draft.runs == [FIRST, SECOND]
    draft.remove(draft.chosen)
    assert titles(draft) == ["c", "d", "b", "a"]
    shown = draft.chosen_slide()
    assert shown is not None and shown.slide.title == "b"
    draft.remove(second)
    assert len({each.number for each in draft.slides}) == 3
    left, chosen = list(draft.slides), draft.chosen
    draft.remove(second)
    draft.move(second, 1)
    draft.edit(second, title="late")
    assert draft.slides == left and draft.chosen == chosen, "a click that comes after the removal changes nothing"


def test_texts_that_were_not_edited_follow_the_language() -> None:
    draft, english, chinese = TalkDraft(), Slide("text", "two", "three", "four"), Slide("text", "二", "三", "四")
    draft.add([english, Slide("text", "mine")], FIRST, [(english, chinese), ()])
    number = draft.slides[0].number
    draft.edit(number, caption="edited")
    draft.translate(1)
    assert draft.slides[0].slide == Slide("text", "二", "edited", "四") and draft.slides[1].slide.title == "mine"
    draft.edit(number, title="题")
    draft.translate(0)
    assert draft.slides[0].slide == Slide("text", "题", "edited", "four")


def test_the_talk_has_the_order_and_the_texts_that_were_chosen() -> None:
    draft = TalkDraft()
    for ref, run in RUNS.items():
        draft.chosen = 0  # at the end
        draft.add(make_talk(run, story() if ref == FIRST else None).slides, ref)
    last = draft.slides[-1]
    draft.edit(last.number, caption="My own words <b>", notes="Wait.")
    for _ in draft.slides:
        draft.move(last.number, -1)
    draft.title = "Mine"
    talk = draft.talk(RUNS.get, "en")
    assert talk is not None and talk.title == "Mine"
    assert [slide.run for slide in talk.slides] == [0, *[1] * 7, 0, 0, 0]
    assert talk.runs == (RUNS[SECOND], RUNS[FIRST]), "in the order in which they are shown"
    document = talk.to_html()
    parts = ["id='slide-1'", ">Mine</h2>", "id='slide-2'", "My own words &lt;b&gt;", "Wait.", "id='slide-3'"]
    places = [document.index(part) for part in parts]
    assert places == sorted(places) and document.count("<section") == 12, "with a slide of its title"
    cover = document[places[0] : places[2]]
    assert cover.count("<li>") == 2 and cover.count(html.escape(str(RUNS[FIRST].sample.text))) == 2
    assert "class='slide cover'" not in make_talk(RUNS[FIRST]).to_html(), "a talk of one run begins with its inputs"
    again = Talk.from_bytes(talk.to_bytes())
    assert again.slides == talk.slides and again.to_html() == document


def test_a_talk_that_is_opened_again_has_its_order_its_texts_and_its_views() -> None:
    run = RUNS[FIRST]
    view = Slide("selection", "Mine", "A caption.", "Notes.", 0, str(run.map_ref), "to", (1, 2))
    talk = Talk("Name", tuple(RUNS.values()), (Slide("answer", "b", run=1), view, Slide("answer", "c", run=1)), "en")
    draft = TalkDraft.of_file(Talk.from_bytes(talk.to_bytes()))
    assert [each.slide for each in draft.slides] == list(talk.slides) and draft.title == "Name"
    assert [ref.place for ref in draft.runs] == [1, 0] and len({each.number for each in draft.slides}) == 3
    again = draft.talk(lambda ref: talk.runs[ref.place or 0], "en")
    assert again is not None and again.title == "Name", "its runs in the order in which they are shown"
    assert [(again.runs[slide.run], slide.caption, slide.tokens) for slide in again.slides] == [
        (talk.runs[slide.run], slide.caption, slide.tokens) for slide in talk.slides
    ]
    draft.add([Slide("text", "new")], FIRST)
    assert draft.slides[1].slide.title == "new" and draft.slides[1].number == 4


def test_slides_of_runs_that_are_gone_are_left_out() -> None:
    draft = filled()
    draft.add([Slide("text", "words")], FIRST)
    draft.add([Slide("answer", "other")], SECOND)
    talk = draft.talk({SECOND: RUNS[SECOND]}.get, "zh")
    assert talk is not None and [(slide.title, slide.run) for slide in talk.slides] == [("words", 0), ("other", 0)]
    assert talk.title == RUNS[SECOND].sample.text and talk.language == "zh"
    assert draft.talk({}.get, "en") is None and len(draft.slides) == 5, "the draft keeps them"


def test_a_talk_is_bounded() -> None:
    draft = TalkDraft()
    assert draft.add([Slide("answer", "")] * (MAX_SLIDES + 3), FIRST) == MAX_SLIDES
    draft.slides = draft.slides[:1]
    for number in range(MAX_RUNS - 1):
        assert draft.add([Slide("answer", "")], RunRef(str(number), "", "")) == 1
    assert draft.add([Slide("answer", "")], SECOND) == 0 and draft.add([Slide("answer", "")], FIRST) == 1
