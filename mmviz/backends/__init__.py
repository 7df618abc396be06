"""Where models run: on this machine, on another one, or from recordings. All share one protocol, `Backend`."""

from mmviz.backends.protocol import (
    LOOPBACK,
    Backend,
    KeepsExact,
    Progress,
    SharesCalls,
    Stop,
    ignore_progress,
    never_stop,
    run_each,
)

__all__ = [
    "LOOPBACK",
    "Backend",
    "KeepsExact",
    "Progress",
    "SharesCalls",
    "Stop",
    "ignore_progress",
    "never_stop",
    "run_each",
]
