"""The page without a browser: open it, press its buttons, give it files, and read what it says."""

from __future__ import annotations

import io
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image
from streamlit.components.v2 import manifest_scanner
from streamlit.components.v2.bidi_component.main import _make_trigger_id
from streamlit.testing.v1 import AppTest, local_script_runner

from mmviz.app import session_state as state
from mmviz.app.selection import Selection
from mmviz.experiments import faithfulness
from mmviz.inputs.examples import load_gallery
from mmviz.types import AttentionRecord
from mmviz.viewer.binary_format import Section, decode

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = load_gallery()
FULL = next(example for example in EXAMPLES if example.image and example.audio)
TYPES = {"png": "image/png", "gif": "image/gif", "jpg": "image/jpeg", "wav": "audio/wav"}
ROUNDS = 120
"""How often the page is drawn while experiments are in progress, at most; each drawing waits for them."""

# Else Streamlit reads the metadata of all installed packages for each visitor, which takes longer than the page.
manifest_scanner.scan_component_manifests = cache(manifest_scanner.scan_component_manifests)  # type: ignore[assignment]


def _wait_for_script(runner: local_script_runner.LocalScriptRunner, timeout: float) -> None:
    """Waits for a drawing without looking a thousand times a second whether it is finished, as AppTest does."""
    runner._script_thread.join(timeout)
    if not runner.script_stopped():
        runner.request_stop()
        runner._script_thread.join(timeout)
        raise RuntimeError(f"the page was not drawn within {timeout} s")


local_script_runner.require_widgets_deltas = _wait_for_script


def run(page: AppTest) -> AppTest:
    """Draws the page anew."""
    page.run()
    assert not page.exception, page.exception
    return page


def visit(**params: str) -> AppTest:
    """Returns the page of a new visitor, opened by a link with these parameters."""
    page = AppTest.from_file(str(ROOT / "mmviz" / "app" / "streamlit_script.py"), default_timeout=240)
    page.query_params.update(params)
    return run(page)


def settled(page: AppTest) -> AppTest:
    """Returns the page once every experiment that it has started is finished."""
    for _ in range(ROUNDS):
        jobs = list(now(page).experiments.values())
        is_finished = bool(jobs) and all(job.wait(240 / ROUNDS) for job in jobs)
        run(page)
        if is_finished and len(now(page).experiments) == len(jobs):
            return page
    raise AssertionError("the experiments did not finish")


def address(page: AppTest) -> dict[str, str]:
    """Returns the parameters in the address, one value for each name."""
    return {name: values if isinstance(values, str) else values[-1] for name, values in page.query_params.items()}


def markup(page: AppTest) -> str:
    """Returns all raw HTML on the page."""
    return "\n".join(element.proto.body for element in page.html)


def notes(page: AppTest, kind: str) -> list[str]:
    """Returns the notes of one kind, each as its HTML."""
    return [element.proto.body for element in page.html if f"class='note {kind}'" in element.proto.body]


def word(page: AppTest) -> str:
    """Returns the answer in large type, the likeliest of the three of an unsure model."""
    shown = markup(page).split("<span class='word'>")[1].split("</span>")[0]
    return shown.removeprefix("not sure: ").split(",")[0]


def now(page: AppTest) -> state.State:
    """Returns the visitor's state."""
    visitor_state: state.State = page.session_state[state.KEY]
    return visitor_state


def record_of(page: AppTest) -> AttentionRecord:
    """Returns the record of the run on the screen."""
    shown = now(page).run
    assert shown is not None
    return shown.record


def selected(page: AppTest) -> Selection:
    """Returns the visitor's selection."""
    selection = now(page).selection
    assert selection is not None
    return selection


def viewer_element(page: AppTest) -> Any:
    """Returns the viewer among the components of the page."""
    (element,) = (part for part in page.get("bidi_component") if part.proto.component_name.endswith("mmviz_viewer"))
    return element


def payload(page: AppTest) -> tuple[dict[str, Any], dict[str, Section]]:
    """Returns header and sections of what the viewer is sent."""
    element = viewer_element(page)
    return decode(element.proto.bytes)


def view(page: AppTest, **changes: Any) -> dict[str, Any]:
    """Returns what the viewer reports when it shows what it was sent, except for ``changes``."""
    header, _ = payload(page)
    return {**header["view"], "run": header["run"], "serial": header["serial"], **changes}


def report_view(page: AppTest, value: object, element: Any = None) -> AppTest:
    """Lets the viewer report its view, as the browser does; ``element``: one that the page no longer has."""
    element = element or viewer_element(page)
    states = page._tree.get_widget_states()
    states.widgets.add(id=element.proto.id, json_value=json.dumps({"view": value}))
    return _run_with(page, states)


def report_need(page: AppTest, value: object, element: Any = None) -> AppTest:
    """Lets the viewer request sections, as the browser does; ``element``: one that the page no longer has."""
    element = element or viewer_element(page)
    states = page._tree.get_widget_states()
    events = json.dumps([{"event": "need", "value": value}])
    states.widgets.add(id=_make_trigger_id(element.proto.id, "events"), json_trigger_value=events)
    return _run_with(page, states)


def click(page: AppTest, element: Any, **selection: object) -> AppTest:
    """Selects something in a figure (``points``) or a table (``cells``), as a click in the browser does."""
    states = page._tree.get_widget_states()
    states.widgets.add(id=element.proto.id, string_value=json.dumps({"selection": selection}))
    return _run_with(page, states)


def _run_with(page: AppTest, states: Any) -> AppTest:
    page._run(states)
    assert not page.exception, page.exception
    return page


def past_run(page: AppTest, number: int) -> str:
    """Returns the key of the button of a run in the history; 0 is the one on the screen."""
    return [str(button.key) for button in page.button if str(button.key).startswith("history-")][number]


def press(page: AppTest, key: str) -> AppTest:
    """Presses a button."""
    page.button(key).click()
    return run(page)


def image_bytes(format: str = "PNG", width: int = 40) -> bytes:
    """Returns an image file."""
    buffer = io.BytesIO()
    Image.new("RGB", (width, 30), "navy").save(buffer, format)
    return buffer.getvalue()


def wav(seconds: float = 0.5) -> bytes:
    """Returns an audio file."""
    buffer = io.BytesIO()
    soundfile.write(buffer, np.sin(np.arange(round(44_100 * seconds)) / 10) * 0.3, 44_100, format="WAV")
    return buffer.getvalue()


def give(page: AppTest, modality: str, name: str, data: bytes) -> None:
    """Chooses a file in the uploader of ``image`` or ``audio``; the next drawing of the page has it."""
    page.file_uploader(f"{modality}-{now(page).form_number}").set_value((name, data, TYPES[name.split(".")[-1]]))


def capture(page: AppTest, modality: str, data: bytes | None) -> None:
    """Takes a photo or makes a recording; None discards it."""
    key = f"{modality}-live-{now(page).form_number}"
    if modality == "image":
        page.camera_input(key).set_value(data and ("photo.jpg", data, TYPES["jpg"]))
    else:
        page.audio_input(key).set_value(data and ("recording.wav", data, TYPES["wav"]))


def short_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets faithfulness be measured with few steps and orders; its numbers have tests of their own."""
    monkeypatch.setattr(faithfulness, "STEPS", 4)
    monkeypatch.setattr(faithfulness, "ORDERS", 3)
