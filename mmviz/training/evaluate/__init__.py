"""Measured figures of trained models: accuracy, pointing, effect, and their tables."""
