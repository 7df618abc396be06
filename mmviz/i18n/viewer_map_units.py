"""Texts of the viewer that say what its numbers are: units, and sums that may or may not be shares."""

from __future__ import annotations

UNITS: dict[str, str] = {
    "unit-attention": "attention weight",
    "unit-rollout": "rollout",
    "unit-relevance": "gradient relevance",
    "unit-difference": "{unit}, first minus second",
    "attention-rows-1": "{unit}; each row sums to 1",
    "attention-rows-below-1": "{unit}; rows sum to 1 or less",
    "rollout-rows-1": "{unit}: share of paths; each row sums to 1",
    "rollout-rows-below-1": "{unit}: share of paths; rows sum to 1 or less",
    "unit-relative": "{unit}; no unit, only relative",
    "sums-of-row": "{unit}, of the row",
    "sums-of-column": "{unit}, of the column; may exceed 1",
    "modality-ratio-mean": "× mean",
    "modality-ratio-mean-help": "The mean per token, divided by the mean of all tokens. Relevance has no unit and no "
    "uniform value.",
    "count-ratio-mean": "× mean",
    "scale-cells": "Colour: {unit}, 0 to {largest}.",
    "scale-ratio": "Colour: purple below uniform attention, orange above; 1/8 to 8 on a log2 scale.",
    "scale-ratio-mean": "Colour: purple below the mean of the row, orange above; 1/8 to 8 on a log2 scale.",
    "cell-attention": "{from} attends to {to}: {amount}",
    "cell-rollout": "rollout from {from} to {to}: {amount}",
    "cell-relevance": "relevance of {to} for {from}: {amount}",
    "weight-attention": "“{from}” attends to “{to}”: {amount}",
    "weight-rollout": "Rollout from “{from}” to “{to}”: {amount}",
    "weight-relevance": "Relevance of “{to}” for “{from}”: {amount}",
}
