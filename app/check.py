"""`python -m app check`: what serving a repository would say of each model, without serving it."""

from collections.abc import Mapping
from pathlib import Path

from app.errors import ModelLoadFailed
from app.inference.session import Opening
from app.layout import Version, scan
from app.repository import LoadLimits, open_from


def run(folder: Path, not_taken: Mapping[str, str]) -> int:
    """Print a line for each model version; 0 when all of them can be served, 1 otherwise.

    not_taken: what the folder was mirrored from has too, with the reasons.
    """
    entries = scan(folder)
    failures = [f"{place}: {reason}" for place, reason in not_taken.items()]
    failures += [f"{entry.name}: {entry.reason}" for entry in entries if entry.reason]
    for version in (version for entry in entries for version in entry.versions.values()):
        try:
            print(_told(version))
        except ModelLoadFailed as error:
            failures.append(f"{version.name} version {version.number}: {error}")
    for failure in failures:
        print(f"FAILED  {failure}")
    return 1 if failures else 0


def _told(version: Version) -> str:
    opened = open_from(version, LoadLimits.of_a_command(), Opening())
    specs = [
        ", ".join(f"{spec.name} {spec.datatype}{list(spec.shape)}" for spec in side)
        for side in (opened.signature.inputs, opened.signature.outputs)
    ]
    missing = opened.session.missing_providers
    golden = "golden rows replayed" if opened.manifest else "no manifest"
    batched = "batched" if opened.signature.batched else "one request a run"
    return (
        f"ok      {version.name} version {version.number}: {specs[0]} -> {specs[1]}\n"
        f"        {golden}; {batched}: {opened.batching}; on {', '.join(opened.session.nodes)}"
        + (f"\n        NOT on {', '.join(missing)}, which config.yaml asks for" if missing else "")
    )
