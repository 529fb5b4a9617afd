"""manifest.json and config.yaml: what holds, and what is told of what does not."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from app.errors import ModelLoadFailed
from app.feature import Feature
from app.manifest import Batching, ModelConfig, Summary, read_config, read_manifest
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
        (
            {"kind": "category", "categories": list("abcdefghijklmno")},
            "one of a, b, c, d, e, f, g, h, i, j, k, l and 3 more",
        ),
        ({"kind": "text"}, "a text"),
        ({"kind": "date"}, "a date such as 2024-02-29"),
        ({"kind": "date", "minimum": 0, "maximum": 19782}, "a date, 1970-01-01 to 2024-02-29"),
        ({"kind": "date", "maximum": -1}, "a date, 1969-12-31 or less"),
    ],
)
def test_a_feature_says_in_words_what_it_wants(feature: dict[str, object], wanted: str) -> None:
    assert Feature.model_validate({"name": "f", "example": 1, **feature}).wanted == wanted


PHOTO = {"kind": "image", "shape": [3, 8, 8], "layout": "CHW", "minimum": 0, "maximum": 1}
CLIP = {"kind": "audio", "shape": [16000], "sample_rate": 16000}
FRUIT = {"kind": "category", "categories": ["fig", "kiwi"]}


@pytest.mark.parametrize(
    ("feature", "message"),
    [
        ({**PHOTO, "layout": None}, "an image has a layout"),
        ({"layout": "HW"}, "an image has a layout, HW, CHW or HWC, and nothing else has"),
        ({**PHOTO, "layout": "HWC"}, r"shape \[3, 8, 8\] is not HWC with 1 or 3 channels"),
        ({**PHOTO, "shape": [8, 8]}, r"shape \[8, 8\] is not CHW"),
        ({**PHOTO, "shape": [3, 8, 0]}, "greater than or equal to 1"),
        ({**PHOTO, "maximum": None}, "an image has a minimum, which black becomes, and a maximum"),
        ({**CLIP, "sample_rate": None}, "a sound has a sample_rate"),
        ({"sample_rate": 8000}, "a sound has a sample_rate, in Hz, and nothing else has"),
        ({**CLIP, "shape": [2, 8000]}, r"a sound has shape \[samples\]"),
        ({**CLIP, "maximum": 1}, "takes no minimum and no maximum"),
        ({"missing": "fill"}, "takes both or neither"),
        ({"fill": 1}, "takes both or neither"),
        ({**FRUIT, "missing": "nan"}, "missing: nan is for numbers and dates, this is category"),
        ({**CLIP, "missing": "nan"}, "missing: nan is for numbers and dates, this is audio"),
        ({"missing": "fill", "fill": 60, "maximum": 50}, "fill 60.0, wanted 50 or less"),
        ({"missing": "fill", "fill": "x"}, "fill 'x', wanted a finite number"),
        ({"missing": "fill", "fill": float("inf")}, "fill inf, wanted a finite number"),
        ({"kind": "integer", "missing": "fill", "fill": 1.5}, "fill 1.5, wanted an integer"),
        ({**FRUIT, "missing": "fill", "fill": "plum"}, "fill 'plum', wanted one of fig, kiwi"),
        ({"kind": "text", "missing": "fill", "fill": 1}, "fill 1.0, wanted a text"),
        ({**PHOTO, "missing": "fill", "fill": 0}, "fill 0.0, wanted 0 to 1"),
        ({"kind": "date", "minimum": 0.5}, "minimum and maximum are whole days since 1970-01-01, -719162 to 2932896"),
        ({"kind": "date", "maximum": 1e7}, "minimum and maximum are whole days since 1970-01-01"),
        ({"kind": "date", "missing": "fill", "fill": "2024-02-30"}, "fill '2024-02-30', wanted a date such as"),
        ({"kind": "date", "missing": "fill", "fill": 3}, "fill 3.0, wanted a date such as"),
    ],
)
def test_a_feature_that_cannot_be_met_is_refused(feature: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Feature.model_validate({"name": "f", "example": 1, **feature})


@pytest.mark.parametrize(
    "feature",
    [
        PHOTO,
        {**PHOTO, "shape": [8, 8, 1], "layout": "HWC"},
        CLIP,
        {"missing": "nan"},
        {"kind": "integer", "missing": "nan"},
        {"missing": "fill", "fill": 50, "maximum": 50},
        {"kind": "integer", "missing": "fill", "fill": 0},
        {**FRUIT, "missing": "fill", "fill": "fig"},
        {"kind": "text", "missing": "fill", "fill": ""},
        {"kind": "date", "minimum": -719162, "maximum": 2932896, "missing": "nan"},
        {"kind": "date", "minimum": 0, "missing": "fill", "fill": "1970-01-01"},
    ],
)
def test_a_feature_that_can_be_met_reads_back(feature: dict[str, object]) -> None:
    made = Feature.model_validate({"name": "f", "example": 1, **feature})
    assert Feature.model_validate_json(made.model_dump_json()) == made


def test_a_value_beside_probabilities_has_a_name_of_its_own() -> None:
    with pytest.raises(ValidationError, match="a value cannot be called label beside probabilities"):
        manifest(outputs=[KIND, {"tensor": "z", "kind": "value", "name": "label"}])


def test_a_level_is_that_of_a_value() -> None:
    quantile = {"tensor": "y", "kind": "value", "name": "high", "level": 0.9}

    assert manifest(outputs=[quantile]).outputs[0].level == 0.9
    with pytest.raises(ValidationError, match="y: a level tells which quantile a value is"):
        manifest(outputs=[{"tensor": "y", "kind": "probabilities", "name": "kind", "labels": ["a", "b"], "level": 0.9}])


def test_a_summary_tells_as_much_of_every_decile() -> None:
    deciles, at_most = (1.0, 2.0, 3.0), (0.1, 0.5, 1.0)
    assert Summary(deciles=deciles, at_most=at_most, missing=0).at_most == at_most
    for wrong in ({"at_most": at_most}, {"deciles": deciles, "at_most": at_most[:2]}):
        with pytest.raises(ValidationError, match="wanted one for each decile"):
            Summary.model_validate({**wrong, "missing": 0})
