"""Small manifests for tests, complete and consistent with the graphs of tests/graphs.py."""

import json
from datetime import date
from typing import Any

import numpy as np

from app.manifest import Manifest
from tests import graphs

LENGTH = {"name": "length", "unit": "mm", "minimum": 0, "maximum": 50, "example": 4.5, "description": "Of the leaf."}
WIDTH = {"name": "width", "unit": "mm", "minimum": 0, "example": 2}
HEIGHT = {"name": "height", "example": 1, "kind": "integer"}

SIZE = {"name": "size", "minimum": -1000, "example": 0}
SIZES = np.random.default_rng(0).normal(size=5000)


def manifest(**changes: Any) -> Manifest:
    """Describes graphs.double(): three numbers in, their doubles out as probabilities of three labels."""
    usual: dict[str, Any] = {
        "name": "leaf",
        "title": "Leaves",
        "task": "classification",
        "description": "Doubles three numbers.",
        "intended_use": "Tests.",
        "limits": "Not for leaves.",
        "inputs": [{"tensor": "x", "features": [LENGTH, WIDTH, HEIGHT]}],
        "outputs": [{"tensor": "y", "kind": "probabilities", "name": "kind", "labels": ["oak", "elm", "ash"]}],
        "data": {
            "name": "none",
            "source": "made up",
            "licence": "none",
            "sha256": "0" * 64,
            "split": "none",
            "rows": {"train": 1, "validation": 1, "test": 1},
        },
        "evaluation": {
            "baseline": "guessing",
            "metrics": [{"name": "accuracy", "model": 0.5, "baseline": 0.3, "higher_is_better": True}],
            "verdict": "It beats guessing",
        },
        "training": {"recipe": "leaf", "seed": 1, "epochs": 1, "best_epoch": 1, "settings": {}, "versions": {}},
        "summaries": {},
        "parity": {"rows": 1, "batches": [1], "max_abs_difference": 0, "tolerance": 1e-6},
        "golden": {"inputs": {"x": [[1, 2, 3]]}, "outputs": {"y": [[2, 4, 6]]}, "tolerance": 1e-6},
    }
    return Manifest.model_validate(usual | changes)


EVERY_KIND: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "numbers": (
        "FP32",
        [
            LENGTH,
            {"name": "count", "kind": "integer", "minimum": 0, "example": 3},
            {"name": "age", "missing": "nan", "example": 7},
            {"name": "price", "missing": "fill", "fill": 2.5, "example": 1},
        ],
    ),
    "place": ("INT64", [{"name": "place", "kind": "category", "categories": ["fig", "kiwi"], "example": "fig"}]),
    "day": ("INT64", [{"name": "day", "kind": "date", "example": "2024-02-29"}]),
    "week": ("FP32", [{"name": "week", "shape": [3], "maximum": 100, "example": [1, 2, 3]}]),
    "photo": (
        "FP32",
        [
            {
                "name": "photo",
                "kind": "image",
                "shape": [2, 2],
                "layout": "HW",
                "minimum": 0,
                "maximum": 1,
                "example": [[0, 1], [1, 0]],
            }
        ],
    ),
}
"""Tensor -> its datatype and its features."""


def every_kind() -> tuple[bytes, Manifest]:
    """A graph with features of every kind but sounds and texts, and its manifest; it answers each tensor's sum."""
    shapes = {name: features[0].get("shape", [len(features)]) for name, (_, features) in EVERY_KIND.items()}
    graph = graphs.totals({name: (datatype, shapes[name]) for name, (datatype, _) in EVERY_KIND.items()})
    days = (date(2024, 2, 29) - date(1970, 1, 1)).days
    given = {"numbers": [4.5, 3, 7, 1], "place": [0], "day": [days], "week": [1, 2, 3]}
    given |= {"photo": [[0, 1], [1, 0]]}
    sums = {"numbers": 15.5, "place": 0, "day": days, "week": 6, "photo": 2}
    return graph, manifest(
        inputs=[{"tensor": name, "features": features} for name, (_, features) in EVERY_KIND.items()],
        outputs=[{"tensor": f"{name}_total", "kind": "value", "name": name} for name in EVERY_KIND],
        golden={
            "inputs": {name: [row] for name, row in given.items()},
            "outputs": {f"{name}_total": [[total]] for name, total in sums.items()},
            "tolerance": 1e-6,
        },
    )


def summary(values: np.ndarray) -> dict[str, object]:
    """As training writes it of numbers."""
    deciles = np.quantile(values, np.linspace(0, 1, 11))
    at_most = [float((values <= decile).mean()) for decile in deciles]
    spread = {"mean": float(values.mean()), "standard_deviation": float(values.std()), "missing": 0}
    return {**spread, "deciles": deciles.tolist(), "at_most": at_most}


def fitted(**changes: object) -> str:
    """The text of a manifest that describes graphs.times(2) as fitted to SIZES, with summaries of them and of its
    answers."""
    described = manifest(
        inputs=[{"tensor": "x", "features": [SIZE]}],
        outputs=[{"tensor": "y", "kind": "value", "name": "double"}],
        golden={"inputs": {"x": [[1]]}, "outputs": {"y": [[2]]}, "tolerance": 1e-6},
    )
    told = json.loads(described.model_dump_json())
    told["data"]["rows"] = {"train": len(SIZES), "validation": len(SIZES)}
    told |= {"summaries": {"size": summary(SIZES)}, "predictions": {"y": summary(2 * SIZES)}}
    return json.dumps(told | changes)
