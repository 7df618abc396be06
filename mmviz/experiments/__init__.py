"""Experiments on a model, one in each file: plan the requests, run them on a backend, read the result."""
