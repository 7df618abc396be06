"""Talks: slides made from runs, saved as one HTML file that needs no network, or as a ``.mmviz`` file.

Example::

    >>> from mmviz.present import make_talk
    >>> talk = make_talk(run)  # with the steps of a story: make_talk(run, run.story())
    >>> size = Path("talk.html").write_text(talk.to_html(), "utf-8")
    >>> talk.save("talk.mmviz")  # and Talk.load("talk.mmviz")
"""

from mmviz.present.default_slides import make_talk
from mmviz.present.slide_deck import Lit, Slide
from mmviz.present.talk import Talk, load_run_or_talk

__all__ = ["Lit", "Slide", "Talk", "load_run_or_talk", "make_talk"]
