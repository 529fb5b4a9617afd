"""Small manifests for tests, complete and consistent with the graphs of tests/graphs.py."""

from typing import Any

from app.manifest import Manifest

LENGTH = {"name": "length", "unit": "mm", "minimum": 0, "maximum": 50, "example": 4.5, "description": "Of the leaf."}
WIDTH = {"name": "width", "unit": "mm", "minimum": 0, "example": 2}
HEIGHT = {"name": "height", "example": 1, "kind": "integer"}


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
