"""What is published, as the table that the README holds: each model beside its baseline."""

from pathlib import Path

from app.manifest import Manifest

HEADER = """| model | what | metric | network | baseline | rows held out | size |
| --- | --- | --- | ---: | ---: | ---: | ---: |"""


def table(models: Path) -> str:
    """Markdown, a line for the newest version of every model that has a manifest."""
    newest = (_newest(folder) for folder in sorted(models.glob("*")))
    return "\n".join([HEADER, *(_line(version) for version in newest if version)])


def _newest(model: Path) -> Path | None:
    """The folder of the highest version with a manifest."""
    versions = [file.parent for file in model.glob("*/manifest.json") if file.parent.name.isdecimal()]
    return max(versions, key=lambda folder: int(folder.name), default=None)


def _line(version: Path) -> str:
    manifest = Manifest.model_validate_json((version / "manifest.json").read_bytes())
    first, size = manifest.evaluation.metrics[0], (version / "model.onnx").stat().st_size
    baseline = f"{first.baseline:.4f}, {manifest.evaluation.baseline}"
    return (
        f"| `{manifest.name}` | {manifest.title} | {first.name} | {first.model:.4f} | {baseline} "
        f"| {manifest.data.rows['test']} | {size / 1000:.0f} kB |"
    )
