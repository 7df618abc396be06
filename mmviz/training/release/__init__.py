"""Trained weights into the assets: export, gallery, recorded runs."""
