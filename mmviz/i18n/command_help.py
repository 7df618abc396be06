"""What ``--help`` says of mmviz and of its commands, and the look-up of these texts.

They are English in every language, as argparse's own words around them are.
"""

from __future__ import annotations

from mmviz.i18n.experiment_help import EXPERIMENT_HELP
from mmviz.i18n.option_help import MODEL, OPTION_HELP

HELP: dict[str, str] = {
    **OPTION_HELP,
    **EXPERIMENT_HELP,
    "mmviz": "See how image, text and audio attend to each other in a multimodal fusion model.",
    "mmviz-epilog": "mmviz COMMAND --help describes a command and its options.",
    "app": "open the page in a browser",
    "app-description": "Open the page in a browser. It shows how image, text and audio attend to each other, tests "
    "what the answer depends on, and teaches attention. Only this machine can reach it unless --host is given. Ctrl-C "
    "ends it.",
    "app FILE": "a saved run (.npz), or a talk (.mmviz) with its runs",
    "app --model": f"{MODEL} (or set MMVIZ_MODEL; default: trio). Given several times, visitors choose among them",
    "app --models-on-disk": "let visitors also choose among the checkpoints on this disk",
    "app --port": "port to listen on (default: 8501)",
    "app --host": "let other machines open the page, with an access token, under this host name and under the "
    "addresses of this machine; 0.0.0.0 for the addresses alone. It may be given again: --host 127.0.0.1 --host NAME "
    "lets only a proxy on this machine in",
    "app --access-token-file": "file with the access token of the page (or set MMVIZ_ACCESS; default: a new one, "
    "which is printed)",
    "app --headless": "do not open a browser",
    "serve": "run models for pages on other machines",
    "serve-description": "Run models as a service. `mmviz app --backend URL`, and `explain` and `audit`, send their "
    "runs to it. Ctrl-C ends it, once the runs in progress are done.",
    "serve --host": "address to listen on (default: this machine only)",
    "serve --port": "port to listen on (default: 8600)",
    "serve --token-file": "file with the access token that clients must send; needed unless only this machine can "
    "reach the service",
    "serve --model": f"{MODEL}, beside those of the catalogue",
    "serve --ray": "run the models with Ray Serve, on this machine or on the cluster at ADDRESS (auto: the local "
    "cluster)",
    "serve --replicas": "with --ray, scale between these numbers of replicas (default: 1 4)",
    "doctor": "check how attention is captured on this machine",
    "doctor-description": "Print device and versions, by which route each attention implementation is captured, how "
    "far the captured weights are from eager attention, and what the maps of a model show: stack, layer, streams, "
    "heads, samples, windows. The exit code is 1 where anything is beyond tolerance, contradicts the model, is left "
    "out.",
    "doctor --json": "print the findings as JSON",
    "models": "list the models",
    "models-description": "List the models that come with mmviz, the Hugging Face checkpoints on this disk, and some "
    "to begin with: size, licence, memory and what to expect. Each stands beside what --model takes.",
    "train": "train a model from scratch",
    "train-description": "Train a model on generated scenes. Needs espeak-ng for the speech. Started again on the "
    "same folder, it resumes where it stopped.",
    "train --model": "trio (default): the bundled model, some hours on a CPU; trio-reduced, crossmodal, bottleneck, "
    "late: the fusions that are compared, on one budget; conv-attention: the small model of the lesson, about a minute",
    "train --out": "folder to write to (default: runs/MODEL)",
    "train --stage": "stage of trio to train (default: all)",
    "train --pairs": "pairs of a picture and a sound in each stage of trio (default: 36000 60000 84000)",
    "train --pictures": "pictures whose features are kept on disk (default: 16000)",
    "train --sounds": "sounds whose features are kept on disk (default: 24000)",
    "train --rate": "peak learning rate (default: that of the stage)",
    "train --weights": "start from these weights (safetensors)",
    "train --seed": "random seed (default: 1)",
    "train --device": "torch device (default: a GPU where there is one)",
    "evaluate": "measure the bundled models again",
    "evaluate-description": "Measure accuracy, and how often attention points at the region that the answer rests on, "
    "and print the tables. Needs espeak-ng for the speech.",
    "evaluate --count": "examples for each family of questions (default: 200)",
    "evaluate --map": "map of what the answer token reads from, such as 5:mean or 5:2 (default: that of the model's "
    "card)",
    "evaluate --choose": "rank maps and methods by their faithfulness instead, on other seeds than the tables; with "
    "--card, put the ranking and the maps of the first view into the model's card (about 5 s an example)",
    "evaluate --fusions": "compare the kinds of fusion instead",
    "evaluate --routes": "cut every way out of each modality instead, and measure which modalities an answer needs; "
    "with --card, put the table into the model's card (about half a second an example)",
    "evaluate --stories": "measure instead whether the stories of answers agree with the logic of the questions; with "
    "--card, put the table into the model's card (several seconds an example)",
    "evaluate --real": "measure on photographs and on spoken words as well: Debian's tuxpaint-stamps-default, unpacked",
    "evaluate --speech": "measure on more spoken words as well: Debian's ktuberling-data, unpacked",
    "evaluate --json": "write the figures as JSON as well",
    "evaluate --card": "write the figures into the model's card in the assets",
}
"""Texts of commands (``app``, ``app-description``), of their options (``app --port``), of shared ones (``--text``)."""


def help_text(name: str, **parameters: object) -> str:
    """Returns the text of a command or an option, its placeholders filled with ``parameters``.

    Raises ``KeyError`` for an unknown name or a missing parameter.
    """
    return HELP[name].format(**parameters)
