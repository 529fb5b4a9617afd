"""What the image is made of: pinned as pyproject.toml says, down to the hash, and nothing else."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PYPROJECT["project"]["optional-dependencies"]
WANTED: dict[str, list[str]] = {
    "cpu": PYPROJECT["project"]["dependencies"] + EXTRAS["cpu"],
    "gpu": PYPROJECT["project"]["dependencies"] + EXTRAS["gpu"],
    "build": PYPROJECT["dependency-groups"]["build"],
}
LOCKED = re.compile(r"(?P<name>[a-z0-9-]+)==(?P<version>[0-9][a-z0-9.]*)( --hash=sha256:[0-9a-f]{64})+")


def text(lock: str) -> str:
    return (ROOT / f"deploy/requirements-{lock}.txt").read_text()


def requirements(lock: str) -> list[str]:
    """One line each, without the comments."""
    joined = re.sub(r" \\\n +", " ", text(lock))
    return [line for line in joined.splitlines() if not line.lstrip().startswith("#")]


def locked(lock: str) -> dict[str, str]:
    return {found["name"]: found["version"] for found in map(LOCKED.fullmatch, requirements(lock)) if found}


def pinned(wanted: list[str]) -> dict[str, str]:
    parsed = [Requirement(line) for line in wanted]
    return {canonicalize_name(one.name): str(one.specifier).removeprefix("==") for one in parsed}


def pip_commands() -> list[str]:
    commands = re.split(r"&&|^[A-Z]+ ", DOCKERFILE.replace("\\\n", " "), flags=re.MULTILINE)
    return [" ".join(command.split()) for command in commands if re.search(r"\bpip\b.* install\b", command)]


@pytest.mark.parametrize("lock", WANTED)
def test_every_requirement_has_one_version_and_its_hashes(lock: str) -> None:
    assert [line for line in requirements(lock) if not LOCKED.fullmatch(line)] == []
    assert len(locked(lock)) == len(requirements(lock))


@pytest.mark.parametrize("lock", WANTED)
def test_what_is_locked_is_what_pyproject_pins(lock: str) -> None:
    pins = pinned(WANTED[lock])
    assert {name: locked(lock).get(name) for name in pins} == pins


@pytest.mark.parametrize("lock", WANTED)
def test_a_lock_names_no_address_and_no_folder(lock: str) -> None:
    assert "/" not in text(lock)


@pytest.mark.parametrize("lock", ["cpu", "gpu"])
def test_the_image_gets_no_package_of_training_tests_or_the_build(lock: str) -> None:
    others = {*pinned(EXTRAS["train"]), *pinned(EXTRAS["test"]), *pinned(WANTED["build"]), "pip", "triton"}
    assert others & locked(lock).keys() == set()


def test_the_image_gets_one_onnxruntime() -> None:
    assert "onnxruntime-gpu" not in locked("cpu")
    assert "onnxruntime" not in locked("gpu")


def test_the_image_installs_nothing_without_a_hash_but_its_own_wheel() -> None:
    *hashed, own = pip_commands()
    assert len(hashed) == 2
    for command in hashed:
        assert re.search(r' install --require-hashes --only-binary :all: -r "?deploy/requirements-\S+\.txt"?$', command)
    assert own.endswith(" install --no-deps --no-index dist/*.whl")
    [wheel] = re.findall(r"pip wheel (.+) \. ", DOCKERFILE)
    assert {"--no-deps", "--no-build-isolation"} <= set(wheel.split())


def test_the_list_of_what_is_in_the_image_lies_where_the_readme_says() -> None:
    [place] = re.findall(r"--output-file (\S+)", DOCKERFILE)
    assert f"--entrypoint cat headrace {place}" in (ROOT / "README.md").read_text()
    assert place.startswith("/opt/headrace/")
    assert "COPY --from=build /opt/headrace /opt/headrace\n" in DOCKERFILE
