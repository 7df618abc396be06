"""How well a model's confidence in its answers fits how often they are right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mmviz.models.confidence import SURE_FROM, confidence, expected_calibration_error
from mmviz.types import AttentionRecord


@dataclass
class Calibration:
    """How often answers of a model are right, by their probabilities with and without calibration."""

    temperature: float
    """By which logits are divided for the calibrated probabilities; 1 leaves them as they are."""
    _plain: list[float] = field(default_factory=list)
    _calibrated: list[float] = field(default_factory=list)
    _is_right: list[bool] = field(default_factory=list)

    def add(self, record: AttentionRecord, truth: str) -> None:
        """Counts the likeliest answer of a record that holds all answers."""
        probabilities = [answer.probability for answer in record.answers]
        self._plain.append(confidence(probabilities, 1.0))
        self._calibrated.append(confidence(probabilities, self.temperature))
        self._is_right.append(record.answers[0].label == truth)

    def figures(self) -> dict[str, float]:
        """Returns the expected calibration error without and with the temperature, in ten bins; the share of answers
        that are shown as not sure; and how many are right of those that are, and of the others."""
        is_right, calibrated = np.array(self._is_right), np.array(self._calibrated)
        is_sure = calibrated >= SURE_FROM
        shares = {
            name: float(is_right[chosen].mean()) if chosen.any() else float("nan")
            for name, chosen in (("right where sure", is_sure), ("right where not sure", ~is_sure))
        }
        return {
            "count": len(is_right), "temperature": self.temperature,
            "ece uncalibrated": expected_calibration_error(np.array(self._plain), is_right),
            "ece": expected_calibration_error(calibrated, is_right),
            "not sure": float((~is_sure).mean()), **shares,
        }  # fmt: skip


def tables(calibrations: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Returns the lines of the table as ``mmviz evaluate`` prints it, by group of examples."""
    lines = [
        "| calibration | ECE | ECE uncalibrated | not sure | right where sure | right where not sure |",
        "|---|---|---|---|---|---|",
    ]
    columns = ("ece", "ece uncalibrated", "not sure", "right where sure", "right where not sure")
    for name, row in calibrations.items():
        lines.append(f"| {name} | " + " | ".join(f"{row[column]:.3f}" for column in columns) + " |")
    return lines
