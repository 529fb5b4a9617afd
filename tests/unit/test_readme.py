"""The README's tables and module map are what the code says."""

import re
from pathlib import Path

from app.manifest import Manifest
from app.settings import table

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_settings_table_is_generated_from_the_settings() -> None:
    assert table() in README


def test_the_table_of_models_is_what_their_manifests_say() -> None:
    manifests = sorted((ROOT / "models").glob("*/*/manifest.json"))
    assert manifests
    for file in manifests:
        manifest = Manifest.model_validate_json(file.read_bytes())
        first, size = manifest.evaluation.metrics[0], (file.parent / "model.onnx").stat().st_size
        baseline = f"{first.baseline:.4f}, {manifest.evaluation.baseline}"
        assert (
            f"| `{manifest.name}` | {manifest.title} | {first.name} | {first.model:.4f} | {baseline} "
            f"| {manifest.data.rows['test']} | {size / 1000:.0f} kB |"
        ) in README


def test_the_module_map_names_every_module_and_none_that_is_not_there() -> None:
    section = README.split("## Module map")[1].split("```")[1]
    named = set(re.findall(r"[a-z_0-9]+\.py", section))
    present = {
        file.name
        for package in ("app", "training")
        for file in (ROOT / package).rglob("*.py")
        if file.name != "__init__.py" and file.parent.name not in ("recipes", "datasets", "networks")
    }
    assert named == present
