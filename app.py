"""The script for ``streamlit run app.py``. The page itself is in `mmviz.app`."""

from mmviz.app import main

if __name__ == "__main__":
    main()
