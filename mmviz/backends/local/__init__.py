"""Models in this process, on the GPU where there is one."""

from mmviz.backends.local.backend import LocalBackend

__all__ = ["LocalBackend"]
