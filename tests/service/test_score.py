"""`python -m app score`: the answers of HTTP for whole tables and folders, through the command itself."""

import base64
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from PIL import Image

from app.__main__ import main
from app.manifest import Manifest
from app.score import command
from tests import graphs
from tests.serving import serving, wait_until

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "models"
MANIFESTS = sorted(MODELS.glob("*/*/manifest.json"))

PATIENT: dict[str, Any] = {
    "age": 59,
    "sex": 2,
    "body_mass_index": 32.1,
    "blood_pressure": 101,
    "total_cholesterol": 157,
    "ldl": 93.2,
    "hdl": 38,
    "cholesterol_ratio": 4,
    "log_triglycerides": 4.86,
    "glucose": 87,
}
"""As the model `diabetes` takes one."""


@pytest.fixture(scope="module")
def service() -> Iterator[httpx.Client]:
    with serving(MODELS) as client:
        yield client


def score(model: str, given: Path, wanted: Path, *flags: str, models: Path = MODELS) -> pa.Table:
    """The result of a command that ends well."""
    assert command.main([model, str(given), str(wanted), "--models", str(models), *flags]) == 0
    return pq.read_table(wanted)


def refusal(capfd: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What a command that fails says."""
    assert command.main([str(one) for one in (*arguments, "--models", MODELS)]) == 1
    return capfd.readouterr().err.splitlines()[-1]


def table_of(rows: list[dict[str, Any]], place: Path, row_group_size: int = 2**20) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), place, row_group_size=row_group_size)
    return place


def close(got: Any, wanted: Any) -> bool:
    return got == wanted if isinstance(wanted, str | list) else bool(np.isclose(got, wanted, rtol=1e-5, atol=1e-6))


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.parents[1].name)
def test_rows_get_the_answers_that_http_gives(path: Path, tmp_path: Path, service: httpx.Client) -> None:
    manifest = Manifest.model_validate_json(path.read_bytes())
    row = {feature.name: feature.example for feature in manifest.features}
    [wanted] = service.post(f"/v1/models/{manifest.name}:predict", json={"instances": [row]}).json()["predictions"]
    given = table_of([row | {"id": number} for number in range(3)], tmp_path / "in.parquet")
    result = score(manifest.name, given, tmp_path / "out.parquet")
    assert result.column("id").to_pylist() == [0, 1, 2]
    assert result.column("error").null_count == 3
    assert set(result.column_names) == {"id", "error", *wanted}
    for got in result.to_pylist():
        assert all(close(got[name], value) for name, value in wanted.items()), (got, wanted)


def test_a_wrong_row_is_told_and_the_others_are_answered(tmp_path: Path) -> None:
    wrong: list[dict[str, Any]] = [{"glucose": None}, {"age": 200}, {"sex": 1.5}, {"glucose": None, "age": -1}]
    rows = [PATIENT, *(PATIENT | one for one in wrong), PATIENT]
    result = score("diabetes", table_of(rows, tmp_path / "in.parquet"), tmp_path / "out.parquet")
    assert result.column("error").to_pylist() == [
        None,
        "glucose: missing, wanted 20 to 1000 mg/dl",
        "age: 200, wanted 0 to 120 years",
        "sex: 1.5, wanted an integer, 1 to 2",
        "glucose: missing, wanted 20 to 1000 mg/dl",
        None,
    ]
    first, *none, last = result.column("progression").to_pylist()
    assert first == last
    assert none == [None] * 4


def test_csv_gives_what_parquet_gives(tmp_path: Path) -> None:
    rows = [{"patient": "a,b", **PATIENT}, {"patient": "c", **PATIENT, "age": 20}]
    parquet = table_of(rows, tmp_path / "in.parquet")
    pyarrow.csv.write_csv(pa.Table.from_pylist(rows), tmp_path / "in.csv")
    with (tmp_path / "in.csv").open("a") as file:
        file.write("wrong," + ",".join(["many"] * 10) + "\n" + "none" + "," * 10 + "\n")
    wanted = score("diabetes", parquet, tmp_path / "out.parquet")
    result = score("diabetes", tmp_path / "in.csv", tmp_path / "csv.parquet")
    assert result.slice(0, 2).equals(wanted)
    many, none = result.column("error").to_pylist()[2:]
    assert many.startswith("age: 'many', wanted 0 to 120 years; sex: 'many', wanted")
    assert none.startswith("age: missing, wanted 0 to 120 years")
    assert command.main(["diabetes", str(parquet), str(tmp_path / "out.csv"), "--models", str(MODELS)]) == 0
    assert (tmp_path / "out.csv").read_text().splitlines()[0] == '"patient","progression","error"'


def test_categories_and_dates_come_in_any_type_that_a_table_has_for_them(tmp_path: Path, service: httpx.Client) -> None:
    [path] = (path for path in MANIFESTS if path.parents[1].name == "loan-risk")
    manifest = Manifest.model_validate_json(path.read_bytes())
    row = {feature.name: feature.example for feature in manifest.features}
    [wanted] = service.post("/v1/models/loan-risk:predict", json={"instances": [row]}).json()["predictions"]
    plain = pa.Table.from_pylist([row] * 2)
    category = next(feature.name for feature in manifest.features if feature.kind == "category")
    encoded = plain.set_column(
        plain.column_names.index(category), category, plain.column(category).combine_chunks().dictionary_encode()
    )
    pq.write_table(encoded, tmp_path / "in.parquet")
    result = score("loan-risk", tmp_path / "in.parquet", tmp_path / "out.parquet", "--probabilities")
    assert result.column("label").to_pylist() == [wanted["label"]] * 2
    assert result.column("probabilities").to_pylist()[0][wanted["label"]] == pytest.approx(wanted["probability"])
    unknown = table_of([row | {category: "no such"}], tmp_path / "unknown.parquet")
    [told] = score("loan-risk", unknown, tmp_path / "told.parquet").column("error").to_pylist()
    assert told.startswith(f"{category}: 'no such', wanted one of ")


def test_a_folder_of_images_with_one_that_is_broken(tmp_path: Path, service: httpx.Client) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(40):
        Image.fromarray(np.full((28, 28), 6 * number, np.uint8)).save(folder / f"{number:02d}.png")
    (folder / "05.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    result = score("mnist", folder, tmp_path / "out.parquet")
    assert result.column("file").to_pylist() == [f"{number:02d}.png" for number in range(40)]
    assert [row for row, told in enumerate(result.column("error").to_pylist()) if told] == [5]
    sent = base64.b64encode((folder / "39.png").read_bytes()).decode()
    instance = {"image": {"b64": sent}}
    [wanted] = service.post("/v1/models/mnist:predict", json={"instances": [instance]}).json()["predictions"]
    got = result.slice(39).to_pylist()[0]
    assert (got["label"], got["probability"]) == (wanted["label"], pytest.approx(wanted["probability"], rel=1e-4))


def test_images_in_a_column_as_bytes_and_as_a_hub_has_them(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.fromarray(np.arange(784, dtype=np.uint8).reshape(28, 28)).save(file, "PNG")
    plain = table_of([{"image": file.getvalue()}], tmp_path / "plain.parquet")
    hub = table_of([{"image": {"bytes": file.getvalue(), "path": "0.png"}}], tmp_path / "hub.parquet")
    first = score("mnist", plain, tmp_path / "1.parquet")
    assert first.column("error").null_count == 1
    assert score("mnist", hub, tmp_path / "2.parquet").equals(first)


def test_a_graph_without_a_manifest_takes_columns_of_its_inputs_names(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path / "models", "m", graphs.double())
    given = table_of([{"x": [1.0, 2.0, 3.0]}, {"x": [4.0, 5.0]}], tmp_path / "in.parquet")
    result = score("m", given, tmp_path / "out.parquet", models=tmp_path / "models")
    assert result.column("y").to_pylist() == [[2, 4, 6], None]
    assert "wanted" in result.column("error").to_pylist()[1]


def test_a_row_that_the_graph_refuses_costs_no_other(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path / "models", "m", graphs.embedding(4))
    given = table_of([{"ids": row} for row in (0, 3, 4, 2)], tmp_path / "in.parquet")
    result = score("m", given, tmp_path / "out.parquet", models=tmp_path / "models")
    assert [told is not None for told in result.column("error").to_pylist()] == [False, False, True, False]


def test_a_killed_run_goes_on_with_what_it_had(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path / "models", "m", graphs.slow(60))
    rng = np.random.default_rng(1)
    rows = [{"id": number, "x": rng.normal(size=1).tolist()[0]} for number in range(400)]
    given = table_of(rows, tmp_path / "in.parquet", row_group_size=10)
    arguments = ["score", "m", str(given), str(tmp_path / "out.parquet"), "--models", str(tmp_path / "models")]
    process = subprocess.Popen([sys.executable, "-m", "app", *arguments], cwd=ROOT, stderr=subprocess.PIPE)
    partial = tmp_path / "out.parquet.partial"
    wait_until(lambda: len(list(partial.glob("part-*.parquet"))) > 2, "no parts came")
    process.kill()
    process.communicate()
    left = sorted(partial.glob("part-*.parquet"))
    assert 2 < len(left) < 40
    marked = pq.read_table(left[0]).to_pydict()
    marked["error"][0] = "kept"
    pq.write_table(pa.table(marked, pq.read_schema(left[0])), left[0])
    result = score("m", given, tmp_path / "out.parquet", models=tmp_path / "models")
    assert not partial.exists()
    assert result.column("error").to_pylist() == ["kept", *[None] * 399]
    assert result.drop_columns("error").equals(
        score("m", given, tmp_path / "whole.parquet", models=tmp_path / "models").drop_columns("error")
    )


def test_what_cannot_be_done_is_told_before_anything_is(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    given, wanted = table_of([PATIENT], tmp_path / "in.parquet"), tmp_path / "out.parquet"
    assert refusal(capfd, "nobody", given, wanted).startswith("score: the repository has no model 'nobody'; models: ")
    assert refusal(capfd, "diabetes/9", given, wanted) == "score: model diabetes has no version 9; it serves 1"
    assert "no such file" in refusal(capfd, "diabetes", tmp_path / "none.parquet", wanted).lower()
    assert "wanted a .parquet or .csv file" in refusal(capfd, "diabetes", tmp_path / "in.xlsx", wanted)
    assert "a .parquet or a .csv file" in refusal(capfd, "diabetes", given, tmp_path / "out.xlsx")
    assert "is there already" in refusal(capfd, "diabetes", given, given)
    assert "a folder of files is for a model of one image or sound" in refusal(capfd, "diabetes", MODELS, wanted)
    fewer = table_of([{name: PATIENT[name] for name in list(PATIENT)[1:]}], tmp_path / "fewer.parquet")
    assert "has no column age (0 to 120 years)" in refusal(capfd, "diabetes", fewer, wanted)
    taken = table_of([PATIENT | {"progression": 1}], tmp_path / "taken.parquet")
    assert "has a column progression already" in refusal(capfd, "diabetes", taken, wanted)
    assert not wanted.exists()


def test_parts_of_another_job_are_not_taken_for_this_ones(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    given, wanted = table_of([PATIENT], tmp_path / "in.parquet"), tmp_path / "out.parquet"
    partial = tmp_path / "out.parquet.partial"
    partial.mkdir()
    (partial / "job.json").write_text(json.dumps({"model": "other/1"}))
    assert "has parts of a job of another headrace, model, graph, input, probabilities; remove it" in refusal(
        capfd, "diabetes", given, wanted
    )


@pytest.mark.parametrize("command", [["score", "m", "in.parquet", "out.parquet"], ["replay", "r1", "log"]])
def test_a_variable_that_is_wrong_is_told(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEADRACE_PORT", "many")
    assert main(command) == 2
    told = capfd.readouterr().err
    assert told.startswith(f"{command[0]}: port: Input should be a valid integer")
