"""manifest.json and config.yaml: what holds, and what is told of what does not."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from app.errors import ModelLoadFailed
from app.feature import Feature
from app.manifest import Batching, ModelConfig, read_config, read_manifest
from tests.manifests import LENGTH, WIDTH, manifest

KIND = {"tensor": "y", "kind": "probabilities", "name": "kind", "labels": ["oak", "elm"]}


def test_a_manifest_reads_back_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "manifest.json"
    file.write_text(manifest().model_dump_json())
    assert read_manifest(file) == manifest()


def test_absent_files_mean_no_manifest_and_the_default_config(tmp_path: Path) -> None:
    assert read_manifest(tmp_path / "manifest.json") is None
    assert read_config(tmp_path / "config.yaml") == ModelConfig()


def test_every_key_of_a_config_is_read(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        "versions: [1, 3]\nlabels: {stable: 1}\ndeadline_ms: 5\n"
        "batching: {max_rows: 8, queue_delay_ms: 2, max_queue_rows: 9}\n"
        "instances: 2\nthreads: 3\nproviders: [CPUExecutionProvider]\nstrict_providers: true\nrequired: false\n"
    )
    config = read_config(file)
    assert (config.versions, config.labels) == ((1, 3), {"stable": 1})
    assert config.batching == Batching(max_rows=8, queue_delay_ms=2, max_queue_rows=9)
    assert (config.deadline_ms, config.instances, config.threads) == (5, 2, 3)
    assert (config.providers, config.strict_providers, config.required) == (("CPUExecutionProvider",), True, False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("batchin: false", "unknown key batchin; wanted some of versions, labels, batching"),
        ("batching: {max_row: 1}", "batching.*unknown key max_row; wanted some of max_rows, queue_delay_ms"),
        ("batching: {max_rows: 0}", "max_rows: Input should be greater than or equal to 1"),
        ("versions: newest", "versions"),
        ("a: [", "not YAML"),
        ("deadline_ms: 2001-99-99", "not YAML"),
        ("- 1", "valid dictionary"),
    ],
)
def test_a_config_that_does_not_hold_is_told_why(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    with pytest.raises(ModelLoadFailed, match=f"config.yaml: .*{message}"):
        read_config(file)


def test_a_file_that_cannot_be_read_is_told_without_its_place(tmp_path: Path) -> None:
    for name, read in (("config.yaml", read_config), ("manifest.json", read_manifest)):
        (tmp_path / name).mkdir()
        with pytest.raises(ModelLoadFailed, match=f"^{name}: Is a directory$"):
            read(tmp_path / name)


def test_a_manifest_that_does_not_hold_is_told_why(tmp_path: Path) -> None:
    file = tmp_path / "manifest.json"
    file.write_text('{"name": "x"}')
    with pytest.raises(ModelLoadFailed, match=r"manifest\.json: title: Field required"):
        read_manifest(file)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": [{"tensor": "x", "features": [LENGTH, LENGTH]}]}, "feature length is described twice"),
        (
            {"inputs": [{"tensor": "x", "features": [LENGTH]}, {"tensor": "x", "features": [WIDTH]}]},
            "input x is described",
        ),
        ({"inputs": [{"tensor": "x", "features": [{**LENGTH, "minimum": 60}]}]}, "minimum 60.0 is above maximum 50.0"),
        ({"inputs": [{"tensor": "x", "features": [{**LENGTH, "kind": "category"}]}]}, "a category needs categories"),
        ({"outputs": [{**KIND, "labels": ["oak"]}]}, "y: probabilities need two labels or more, each once"),
        ({"outputs": [{**KIND, "labels": ["oak", "oak"]}]}, "y: probabilities need two labels or more, each once"),
        ({"outputs": [KIND, {**KIND, "tensor": "z", "name": "z"}]}, "one output of probabilities at most"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        manifest(**changes)


def test_a_feature_with_a_shape_is_the_only_one_of_its_tensor() -> None:
    with pytest.raises(ValidationError, match="must be the only one"):
        manifest(inputs=[{"tensor": "x", "features": [LENGTH, {**WIDTH, "shape": [2]}]}])


@pytest.mark.parametrize(
    ("feature", "wanted"),
    [
        ({"minimum": 0, "maximum": 50, "unit": "mm"}, "0 to 50 mm"),
        ({"minimum": 0}, "0 or more"),
        ({"maximum": 1.5, "unit": "m"}, "1.5 m or less"),
        ({}, "a finite number"),
        ({"kind": "integer"}, "an integer"),
        ({"kind": "integer", "minimum": 1}, "an integer, 1 or more"),
        ({"kind": "category", "categories": ["a", "b"]}, "one of a, b"),
        ({"kind": "text"}, "a text"),
    ],
)
def test_a_feature_says_in_words_what_it_wants(feature: dict[str, object], wanted: str) -> None:
    assert Feature.model_validate({"name": "f", "example": 1, **feature}).wanted == wanted
