"""Virtual environments of the peers, whose pins contradict ours and each other's: each is made once, and again when its
requirements change."""

import shutil
import subprocess
import sys
import venv
from pathlib import Path

from benchmarks.networks import CACHE

REQUIREMENTS = Path(__file__).parent / "peers" / "requirements"


def python(peer: str) -> Path:
    """The interpreter of a peer's environment; the environment is made first if there is none."""
    wanted = (REQUIREMENTS / f"{peer}.txt").read_text()
    folder = CACHE / "peers" / peer
    made_from = folder / "made-from.txt"
    interpreter = folder / "bin" / "python"
    if not made_from.exists() or made_from.read_text() != wanted:
        print(f"making the environment of {peer}, once", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([interpreter, *pip, "--requirement", REQUIREMENTS / f"{peer}.txt"], check=True)  # noqa: S603
        made_from.write_text(wanted)
    return interpreter
