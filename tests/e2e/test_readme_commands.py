"""Every curl command of the README, typed as it stands there, gives the answer printed below it."""

import json
import math
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.serving import serving_process

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
COMMANDS = re.findall(r"```sh\n(curl .*?)```\n\n```json\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def test_the_readme_shows_commands_with_their_answers() -> None:
    assert len(COMMANDS) >= 3


def test_a_command_of_the_readme_gives_the_answer_printed_below_it(tmp_path: Path) -> None:
    with serving_process(ROOT / "models", tmp_path / "log") as (client, _):
        address = f"{client.base_url.host}:{client.base_url.port}"
        for command, printed in COMMANDS:
            typed = command.replace("localhost:8000", address)
            answer = subprocess.run(["bash", "-c", typed], capture_output=True, check=True, env=os.environ, timeout=60)  # noqa: S607
            assert same(json.loads(answer.stdout), json.loads(printed)), command


def same(value: object, other: object) -> bool:
    """Floats to some five digits: another processor may round the last ones in another way."""
    if isinstance(value, dict) and isinstance(other, dict):
        return list(value) == list(other) and all(same(value[key], other[key]) for key in value)
    if isinstance(value, list) and isinstance(other, list):
        return len(value) == len(other) and all(map(same, value, other))
    if isinstance(value, float) and isinstance(other, float):
        return math.isclose(value, other, rel_tol=1e-5, abs_tol=1e-4)
    return value == other
