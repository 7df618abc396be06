"""What ``mmviz app`` hands to ``streamlit run``."""

from mmviz.app import main

if __name__ == "__main__":
    main()
