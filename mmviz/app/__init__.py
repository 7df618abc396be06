"""The page. Importing this package loads neither Streamlit nor torch."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str] = ()) -> None:
    """Draws the page; called by the script that ``streamlit run`` opens.

    ``arguments``: ``--run FILE``, a saved run to show first; ``--model MODEL``, or MMVIZ_MODEL in the environment, the
    model, or several that visitors choose among; ``--backend URL``, where runs are made, with its token in MMVIZ_TOKEN.
    MMVIZ_ACCESS holds the token that visitors must enter. None of them appears on the page.
    """
    from mmviz.app.operator_config import OperatorConfig
    from mmviz.app.router import draw_app
    from mmviz.backends.openmp_wait_policy import set_thread_wait

    set_thread_wait(os.environ)  # the first time the page is drawn, torch has not been imported yet
    parser = argparse.ArgumentParser(prog="mmviz app")
    parser.add_argument("--run", type=Path)
    parser.add_argument("--model", action="append")
    parser.add_argument("--backend")
    options = parser.parse_args(list(arguments))
    token, access = os.environ.get("MMVIZ_TOKEN"), os.environ.get("MMVIZ_ACCESS")
    models = tuple(dict.fromkeys(options.model or filter(None, [os.environ.get("MMVIZ_MODEL")])))
    config = OperatorConfig(None, options.run, options.backend, token, access, models)
    draw_app(config.with_model(models[0]) if models else config)
