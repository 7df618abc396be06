"""Compares the notices of two records whose numbers are rounded apart."""

from __future__ import annotations

import pytest

from mmviz.types import AttentionRecord


def assert_same_notices(record: AttentionRecord, other: AttentionRecord, limit: float) -> None:
    """Checks that two records have the same notices, their numbers to ``limit``."""
    for notice, other_notice in zip(record.notices, other.notices, strict=True):
        assert notice.code == other_notice.code
        assert dict(notice.parameters) == pytest.approx(dict(other_notice.parameters), abs=limit)
