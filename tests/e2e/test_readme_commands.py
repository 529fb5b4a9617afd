"""Every curl command of the README, typed as it stands there, gives the answer printed below it."""

import json
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
            assert rounded(json.loads(answer.stdout)) == rounded(json.loads(printed)), command


def rounded(value: object) -> object:
    """Floats to five digits: another processor may round the last ones in another way."""
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [rounded(inner) for inner in value]
    return round(value, 5) if isinstance(value, float) else value
