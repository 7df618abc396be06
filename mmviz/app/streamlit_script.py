"""The script of the page, with the arguments ``--run``, ``--model`` and ``--backend``."""

import sys

from mmviz.app import main

if __name__ == "__main__":
    main(sys.argv[1:])
