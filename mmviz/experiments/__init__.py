"""Experiments on a model: one file each, which plans the runs, makes them on a backend, and reads the result."""
