"""What `streamlit run app.py` opens; everything is in `mmviz.app`."""

from mmviz.app import main

if __name__ == "__main__":
    main()
