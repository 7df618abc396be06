"""How far the loading of a model is, in words. No Streamlit."""

from __future__ import annotations

from typing import Any

from mmviz.app.jobs import Job
from mmviz.backends import Progress, Stop
from mmviz.i18n.page import say
from mmviz.models.loading_watch import LoadingWatch
from mmviz.types import Notice


class ModelLoading:
    """What is told of ``model`` while it is loaded."""

    def __init__(self, model: str):
        self.model = model
        self.notice: Notice | None = None
        """What is being done; None before the first notice."""

    def watch(self, progress: Progress, stop: Stop) -> LoadingWatch:
        """Returns who watches the loading."""

        def report(notice: Notice) -> None:
            self.notice = notice
            progress(0, 0)  # another stage, whose end is not known yet

        return LoadingWatch(report, progress, stop)

    def text(self, job: Job[Any]) -> str:
        """Returns in a sentence how far the loading is."""
        what = str(self.notice) if self.notice else say("model-loading")
        code = "model-loading-share" if job.of else "model-loading-time"
        return say(code, what=what, share=job.done / (job.of or 1), seconds=job.seconds)
