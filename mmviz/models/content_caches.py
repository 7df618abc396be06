"""The caches of this process that tell inputs by their content, so that all forget what a visitor deletes."""

from __future__ import annotations

from typing import Protocol
from weakref import WeakValueDictionary


class ContentCache(Protocol):
    """Keeps something of inputs, by a digest of their content."""

    def clear(self) -> None:
        """Drops all that is kept."""


_caches: WeakValueDictionary[int, ContentCache] = WeakValueDictionary()


def register_cache(cache: ContentCache) -> None:
    """Has `forget_contents` clear ``cache``, as long as it is there."""
    _caches[id(cache)] = cache


def forget_contents() -> None:
    """Clears all caches: what they keep cannot be told by the visitor whose input it was of."""
    for cache in list(_caches.values()):
        cache.clear()
