"""What is published, as the table that the README holds: each model beside its baseline."""

import json
from pathlib import Path

import numpy as np

from app.inference.model import open_version
from app.manifest import Manifest, ModelConfig
from training.errors import NoPlaceForTable
from training.throughput import BATCH_ROWS, rows_per_s

BEGIN, END = "<!-- published -->\n", "<!-- /published -->\n"
"""Between these a file has the table."""

HEADER = """| model | what | metric | network | 95 % | baseline | rows held out | parity | size | fitted in | rows/s |
| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"""


def table(models: Path, runs: Path) -> str:
    """Markdown, a line for the newest version of every model that has a manifest.

    Its last two columns are measured: how long the run took, empty where none of `runs` is the published one, and how
    many rows a second onnxruntime answers by itself, in batches of 64 and one thread.
    """
    lines = [f"{told(version)} {_seconds(version, runs)} | {_rows_per_s(version)} |" for version in newest(models)]
    return "\n".join([HEADER, *lines])


def newest(models: Path) -> list[Path]:
    """The folder of each model's highest version with a manifest, by name."""
    found: dict[Path, Path] = {}
    for file in models.glob("*/*/manifest.json"):
        version = file.parent
        if version.name.isdecimal() and int(version.name) > int(found.get(version.parent, Path("0")).name):
            found[version.parent] = version
    return [found[model] for model in sorted(found)]


def told(version: Path) -> str:
    """A line as far as the files of the version tell it."""
    manifest = _manifest(version)
    first, size = manifest.evaluation.metrics[0], (version / "model.onnx").stat().st_size
    interval = "{:.3f} to {:.3f}".format(*first.interval) if first.interval else ""
    return (
        f"| `{manifest.name}` | {manifest.title} | {first.name} | {first.model:.4f} | {interval} "
        f"| {first.baseline:.4f}, {manifest.evaluation.baseline} | {manifest.data.rows['test']} "
        f"| {manifest.parity.max_abs_difference:.0e} | {size / 1000:.0f} kB |"
    )


def write(found: str, file: Path) -> None:
    """The table in place of the one that is there. Raises NoPlaceForTable."""
    before, begin, rest = file.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise NoPlaceForTable(f"{file}: no lines {BEGIN.strip()} and {END.strip()} to write the table between")
    file.write_text(f"{before}{begin}\n{found}\n\n{end}{after}")


def _manifest(version: Path) -> Manifest:
    return Manifest.model_validate_json((version / "manifest.json").read_bytes())


def _seconds(version: Path, runs: Path) -> str:
    manifest = (version / "manifest.json").read_bytes()
    for folder in sorted((runs / version.parent.name).glob("*"), reverse=True):
        written = folder / "manifest.json"
        if written.is_file() and written.read_bytes() == manifest:
            return f"{json.loads((folder / 'report.json').read_text())['seconds']:.0f} s"
    return ""


def _rows_per_s(version: Path) -> str:
    """Of the model's example, over and over; two digits, since another time gives other ones."""
    opened = open_version(version / "model.onnx", _manifest(version), ModelConfig(), cores=1)
    rows = {name: np.repeat(row, BATCH_ROWS, axis=0) for name, row in (opened.example or {}).items()}
    return f"{float(f'{rows_per_s(opened.session, rows):.2g}'):,.0f}"
