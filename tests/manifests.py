"""Small manifests for tests, complete and consistent with the graphs of tests/graphs.py."""

import json
from typing import Any

import numpy as np

from app.manifest import Manifest

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
