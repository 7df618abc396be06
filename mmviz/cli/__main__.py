"""``python -m mmviz.cli``: the same as the command ``mmviz``."""

import sys

from mmviz.cli import main

sys.exit(main())
