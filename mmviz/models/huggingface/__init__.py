"""Checkpoints of Hugging Face as models of mmviz, by their name or their folder alone."""
