"""The page without a browser: opening it, pressing its buttons, giving it files, and reading what it says."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from PIL import Image
from streamlit.components.v2.bidi_component.main import _make_trigger_id
from streamlit.testing.v1 import AppTest

from mmviz.app import selection
from mmviz.app import session_state as state
from mmviz.inputs.examples import load_gallery
from mmviz.viewer.container import Section, decode

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = load_gallery()
FULL = next(example for example in EXAMPLES if example.image and example.audio)
TYPES = {"png": "image/png", "gif": "image/gif", "jpg": "image/jpeg", "wav": "audio/wav"}


def run(page: AppTest) -> AppTest:
    page.run()
    assert not page.exception, page.exception
    return page


def visit(**address: str) -> AppTest:
    """A new visitor's page, opened by a link with these parameters."""
    page = AppTest.from_file(str(ROOT / "mmviz" / "app" / "run.py"), default_timeout=240)
    page.query_params.update(address)
    return run(page)


def address(page: AppTest) -> dict[str, str]:
    """What the address says, one value a name."""
    return {name: values if isinstance(values, str) else values[-1] for name, values in page.query_params.items()}


def markup(page: AppTest) -> str:
    """All raw HTML on the page."""
    return "\n".join(element.proto.body for element in page.html)


def notes(page: AppTest, kind: str) -> list[str]:
    """The notes of one kind, each as its HTML."""
    return [element.proto.body for element in page.html if f"class='note {kind}'" in element.proto.body]


def word(page: AppTest) -> str:
    """The answer in large."""
    return markup(page).split("<span class='word'>")[1].split("</span>")[0]


def now(page: AppTest) -> state.State:
    found: state.State = page.session_state[state.KEY]
    return found


def looked(page: AppTest) -> selection.Selection:
    """What is looked at."""
    found = now(page).selection
    assert found is not None
    return found


def sent(page: AppTest) -> tuple[dict[str, Any], dict[str, Section]]:
    """Header and sections of what the viewer is given."""
    (element,) = page.get("bidi_component")
    return decode(element.proto.bytes)


def view(page: AppTest, **changes: Any) -> dict[str, Any]:
    """What the viewer tells when it looks at what it was sent, but for ``changes``."""
    header, _ = sent(page)
    return {**header["view"], "run": header["run"], "serial": header["serial"], **changes}


def tell(page: AppTest, told: object) -> AppTest:
    """Let the viewer tell what it looks at, as the browser does."""
    (element,) = page.get("bidi_component")
    states = page._tree.get_widget_states()
    states.widgets.add(id=element.proto.id, json_value=json.dumps({"view": told}))
    return _sent(page, states)


def need(page: AppTest, asked: object) -> AppTest:
    """Let the viewer ask for a plane, as the browser does."""
    (element,) = page.get("bidi_component")
    states = page._tree.get_widget_states()
    events = json.dumps([{"event": "need", "value": asked}])
    states.widgets.add(id=_make_trigger_id(element.proto.id, "events"), json_trigger_value=events)
    return _sent(page, states)


def _sent(page: AppTest, states: Any) -> AppTest:
    page._run(states)
    assert not page.exception, page.exception
    return page


def press(page: AppTest, key: str) -> AppTest:
    page.button(key).click()
    return run(page)


def picture(format: str = "PNG", width: int = 40) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, 30), "navy").save(buffer, format)
    return buffer.getvalue()


def wav(seconds: float = 0.5) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.sin(np.arange(round(44_100 * seconds)) / 10) * 0.3, 44_100, format="WAV")
    return buffer.getvalue()


def give(page: AppTest, modality: str, name: str, data: bytes) -> None:
    """Choose a file in an uploader; the next run of the page sees it."""
    page.file_uploader(f"{modality}-{now(page).generation}").set_value((name, data, TYPES[name.split(".")[-1]]))


def capture(page: AppTest, modality: str, data: bytes | None) -> None:
    """Take a photo or record a sound, or (None) throw it away."""
    key = f"{modality}-live-{now(page).generation}"
    if modality == "picture":
        page.camera_input(key).set_value(data and ("photo.jpg", data, TYPES["jpg"]))
    else:
        page.audio_input(key).set_value(data and ("recording.wav", data, TYPES["wav"]))
