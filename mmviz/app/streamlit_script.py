"""What ``mmviz app`` hands to ``streamlit run``, with ``--run FILE`` and ``--model MODULE:FACTORY``."""

import sys

from mmviz.app import main

if __name__ == "__main__":
    main(sys.argv[1:])
