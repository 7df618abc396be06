"""Measures stories and effects of the answers in the recorded runs of the gallery, which the page shows at once.

``python -m mmviz.training.release.record_stories`` does it for those of the assets. The recordings stay as they are.
"""

from __future__ import annotations

from pathlib import Path

from mmviz.assets_path import assets_dir
from mmviz.backends import Backend
from mmviz.backends.local import LocalBackend
from mmviz.backends.replay import ReplayBackend
from mmviz.experiments.effect_file import effects_to_json
from mmviz.experiments.modality_shapley import measure_modality_effect
from mmviz.experiments.story import measure_story
from mmviz.experiments.story_file import stories_to_json
from mmviz.inputs.examples import read_gallery
from mmviz.types import Request


def record_stories(folder: Path, backend: Backend) -> None:
    """Writes the story of each recording in ``folder/runs`` into ``folder/stories.json``, and the effect of each
    modality on its answer into ``folder/effects.json``, by the id of its record.

    ``backend`` has the model with the weights of the recordings. Raises ``MmvizError`` as `ReplayBackend` does, and
    where no story can be measured.
    """
    recordings = ReplayBackend(folder / "runs")
    stories, effects = {}, {}
    for example in read_gallery(folder):
        request = Request("trio", example.sample())
        (record,) = recordings.run([request])
        stories[record.id] = measure_story(backend, request, record)
        effect = measure_modality_effect(backend, request)
        assert effect is not None  # nothing stops it
        effects[record.id] = effect
    (folder / "stories.json").write_text(stories_to_json(stories), encoding="utf-8")
    (folder / "effects.json").write_text(effects_to_json(effects), encoding="utf-8")


def main() -> None:
    """Measures the stories of the gallery of the assets, with the weights of the assets, on the CPU."""
    record_stories(assets_dir() / "gallery", LocalBackend("cpu"))


if __name__ == "__main__":
    main()
