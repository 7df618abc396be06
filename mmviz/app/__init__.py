"""The page. Importing this package loads neither Streamlit nor torch."""


def main() -> None:
    """Draw the page; called by the script that ``streamlit run`` opens."""
    from mmviz.app.explore import page

    page()
