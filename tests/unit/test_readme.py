"""The README's tables and module map are what the code says."""

import re
from pathlib import Path

from app.settings import table
from training.published import newest, told

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_settings_table_is_generated_from_the_settings() -> None:
    assert table() in README


def test_the_table_of_models_tells_of_every_published_one_what_its_files_say() -> None:
    versions = newest(ROOT / "models")
    assert {version.parent.name for version in versions} == {model.name for model in (ROOT / "models").iterdir()}
    assert [told(version) for version in versions if told(version) not in README] == []


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
