"""The architecture as code: who may import whom, and that every error has a status."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from app import errors
from app.refusals import STATUS

ROOT = Path(__file__).parents[2]

MAY_IMPORT = {
    "app.__main__": {
        "app.check",
        "app.keys",
        "app.workers",
        "app.manifest",
        "app.remote",
        "app.replay",
        "app.score",
        "app.settings",
        "app.tracing",
    },
    "app.score": {
        "app",
        "app.errors",
        "app.feature",
        "app.inference",
        "app.layout",
        "app.manifest",
        "app.protocols",
        "app.repository",
        "app.score",
        "app.settings",
    },
    "app.cluster": {"app.main", "app.settings"},
    "app.prediction_log": {"app.inference", "app.manifest", "app.metrics", "app.protocols", "app.errors"},
    "app.replay": {"app.layout", "app.prediction_log", "app.repository", "app.inference", "app.errors"},
    "app.check": {"app.layout", "app.repository", "app.inference", "app.errors"},
    "app.workers": {
        "app",
        "app.server",
        "app.orders",
        "app.errors",
        "app.logs",
        "app.remote",
        "app.settings",
        "app.sockets",
    },
    "app.server": {"app.connection", "app.heap", "app.main", "app.orders", "app.parser", "app.settings", "app.sockets"},
    "app.sockets": set[str](),
    "app.orders": {"app.remote", "app.repository", "app.manifest", "app.errors"},
    "app.remote": {
        "app",
        "app.errors",
        "app.inference",
        "app.layout",
        "app.logs",
        "app.manifest",
        "app.metrics",
        "app.remote",
    },
    "app.certificate": set[str](),
    "app.main": {
        "app",
        "app.admission",
        "app.certificate",
        "app.docs",
        "app.openapi",
        "app.errors",
        "app.gate",
        "app.heap",
        "app.keys",
        "app.orders",
        "app.inference",
        "app.lane",
        "app.metrics",
        "app.page",
        "app.prediction_log",
        "app.protocols",
        "app.refusals",
        "app.remote",
        "app.repository",
        "app.settings",
        "app.tracing",
        "app.web",
    },
    "app.page": {
        "app",
        "app.bodies",
        "app.errors",
        "app.inference",
        "app.layout",
        "app.manifest",
        "app.metrics",
        "app.repository",
        "app.web",
    },
    "app.docs": {"app.compression", "app.inference", "app.openapi"},
    "app.openapi": {
        "app.openapi",
        "app.gate",
        "app.layout",
        "app.manifest",
        "app.feature",
        "app.inference",
        "app.protocols",
    },
    "app.protocols": {
        "app",
        "app.web",
        "app.bodies",
        "app.refusals",
        "app.orders",
        "app.layout",
        "app.repository",
        "app.inference",
        "app.manifest",
        "app.feature",
        "app.metrics",
        "app.errors",
        "app.protocols",
    },
    "app.gate": {"app.bodies", "app.errors", "app.keys"},
    "app.keys": {"app.errors"},
    "app.tracing": {"app", "app.inference"},
    "app.web": {
        "app.tracing",
        "app.gate",
        "app.refusals",
        "app.repository",
        "app.inference",
        "app.metrics",
        "app.tally",
        "app.errors",
    },
    "app.bodies": {"app.compression", "app.inference", "app.errors"},
    "app.refusals": {"app.errors"},
    "app.compression": {"app.errors"},
    "app.repository": {"app.heap", "app.layout", "app.inference", "app.manifest", "app.metrics", "app.errors"},
    "app.layout": {"app.inference", "app.manifest", "app.errors"},
    "app.inference": {"app.manifest", "app.feature", "app.metrics", "app.tally", "app.errors", "app.inference"},
    "app.manifest": {"app.feature", "app.errors"},
    "app.feature": set[str](),
    "app.settings": set[str](),
    "app.logs": set[str](),
    "app.connection": {"app.admission", "app.lane", "app.parser"},
    "app.lane": {
        "app.admission",
        "app.bodies",
        "app.compression",
        "app.errors",
        "app.gate",
        "app.inference",
        "app.protocols",
        "app.refusals",
        "app.web",
    },
    "app.admission": {
        "app.gate",
        "app.keys",
        "app.errors",
        "app.inference",
        "app.protocols",
        "app.repository",
        "app.web",
    },
    "app.heap": set[str](),
    "app.parser": set[str](),
    "app.tally": {"app.metrics"},
    "app.metrics": set[str](),
    "app.errors": set[str](),
    "app": set[str](),
}
"""A package's modules share its line. A new edge is a decision, made here."""

TRAINING_MAY_IMPORT_OF_APP = {
    "training.curves": {"app.manifest"},
    "training.datasets.words": {"app.inference"},
    "training.compress": {"app.inference"},
    "training.page": {"app.feature", "app.manifest"},
    "training.tracking": {"app.manifest"},
    "training.evaluate": {"app.manifest"},
    "training.verify": {"app.inference", "app.manifest", "app.errors"},
    "training.report": {"app.manifest"},
    "training.run": {"app.manifest"},
    "training.publish": {"app.feature", "app.inference", "app.manifest"},
    "training.published": {"app.inference", "app.manifest"},
    "training.throughput": {"app.inference"},
    "training.tables.columns": {"app.feature"},
    "training.tables.corrections": {"app.feature", "app.manifest"},
    "training.tables.dataset": {"app.feature"},
    "training.tables.words": {"app.inference"},
}


@cache
def imports(file: Path) -> frozenset[str]:
    return frozenset(imported(file))


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = (ROOT / node.module.replace(".", "/")).is_dir()
            yield from (f"{node.module}.{name.name}" if inside else node.module for name in node.names)


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def line_of(module: str) -> str:
    """The module's own line in the table, or that of the package it is in."""
    if module in MAY_IMPORT:
        return module
    parent = ".".join(module.split(".")[:2])
    return parent if parent in MAY_IMPORT else module.split(".")[0]


@pytest.mark.parametrize("file", sorted((ROOT / "app").rglob("*.py")), ids=module_of)
def test_a_module_of_app_imports_only_what_its_line_allows(file: Path) -> None:
    allowed = MAY_IMPORT[line_of(module_of(file))]
    wrong = {name for name in imports(file) if name.split(".")[0] in ("app", "training", "tests", "torch")}
    assert {line_of(name) for name in wrong} <= allowed


@pytest.mark.parametrize("file", sorted((ROOT / "training").rglob("*.py")), ids=module_of)
def test_training_uses_of_app_only_the_manifest_and_the_session(file: Path) -> None:
    module = module_of(file)
    allowed = TRAINING_MAY_IMPORT_OF_APP.get(module, set())
    assert {line_of(name) for name in imports(file) if name.split(".")[0] == "app"} <= allowed
    inside = {name for name in imports(file) if name.startswith("training.")}
    if module.startswith(("training.datasets.", "training.networks.")):
        package = module.rsplit(".", 1)[0]
        assert all(name.startswith((package, "training.errors")) for name in inside)
    if not module.startswith(
        (
            "training.recipe",
            "training.run",
            "training.new",
            "training.search",
            "training.tables.command",
            "training.tables.make",
            "training.__main__",
        )
    ):
        assert not {name for name in inside if name.startswith("training.recipe")}


def test_every_error_has_a_status() -> None:
    wanted = {
        error
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, errors.ServingError) and error is not errors.ServingError
    }
    assert set(STATUS) == wanted


def test_nothing_of_the_service_imports_torch() -> None:
    assert not [file for file in (ROOT / "app").rglob("*.py") if "torch" in {n.split(".")[0] for n in imports(file)}]
