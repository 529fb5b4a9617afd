"""What lies in a model's folder, or only seems to: nothing outside of it is opened."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from tests import graphs
from tests.manifests import manifest
from tests.serving import serving, wait_until

ELSEWHERE = "the secret of another folder"

WEIGHTS = np.arange(1, 4, dtype=np.float32)


def with_weights(location: str) -> bytes:
    """y = x + WEIGHTS, which lie in another file."""
    weights = numpy_helper.from_array(WEIGHTS, "weights")
    weights.ClearField("raw_data")
    weights.data_location = onnx.TensorProto.EXTERNAL
    weights.external_data.add(key="location", value=location)
    node = helper.make_node("Add", ["x", "weights"], ["y"])
    x, y = (graphs.value(name, ("batch", 3)) for name in "xy")
    made = helper.make_model(
        helper.make_graph([node], "test", [x], [y], [weights]),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
    )
    return bytes(made.SerializeToString())


def linked_graph(place: Path, outside: Path) -> None:
    (outside / "model.onnx").write_bytes(graphs.double())
    (place / "model.onnx").symlink_to(outside / "model.onnx")


def linked_version(place: Path, outside: Path) -> None:
    (outside / "model.onnx").write_bytes(graphs.double())
    place.rmdir()
    place.symlink_to(outside)


def linked_manifest(place: Path, outside: Path) -> None:
    (place / "model.onnx").write_bytes(graphs.double())
    (place / "manifest.json").symlink_to(outside / "secret")


def linked_config(place: Path, outside: Path) -> None:
    (place / "model.onnx").write_bytes(graphs.double())
    (place.parent / "config.yaml").symlink_to(outside / "secret")


def endless_link(place: Path, outside: Path) -> None:  # noqa: ARG001  (the others')
    (place / "model.onnx").symlink_to(place / "model.onnx")


def hard_link(place: Path, outside: Path) -> None:
    (outside / "model.onnx").write_bytes(graphs.double())
    os.link(outside / "model.onnx", place / "model.onnx")


def weights_above(place: Path, outside: Path) -> None:
    (outside / "w").write_bytes(WEIGHTS.tobytes())
    (place / "model.onnx").write_bytes(with_weights(f"../../../{outside.name}/w"))


def weights_by_their_whole_path(place: Path, outside: Path) -> None:
    (outside / "w").write_bytes(WEIGHTS.tobytes())
    (place / "model.onnx").write_bytes(with_weights(str(outside / "w")))


def weights_of_another_version(place: Path, outside: Path) -> None:  # noqa: ARG001
    (place.parent / "w").write_bytes(WEIGHTS.tobytes())
    (place / "model.onnx").write_bytes(with_weights("../w"))


def linked_weights(place: Path, outside: Path) -> None:
    (outside / "w").write_bytes(WEIGHTS.tobytes())
    (place / "w").symlink_to(outside / "w")
    (place / "model.onnx").write_bytes(with_weights("w"))


def hard_linked_weights(place: Path, outside: Path) -> None:
    (outside / "w").write_bytes(WEIGHTS.tobytes())
    os.link(outside / "w", place / "w")
    (place / "model.onnx").write_bytes(with_weights("w"))


def named_pipe(place: Path, outside: Path) -> None:  # noqa: ARG001
    os.mkfifo(place / "model.onnx")


def folder_for_a_graph(place: Path, outside: Path) -> None:  # noqa: ARG001
    (place / "model.onnx").mkdir()


def custom_operator(place: Path, outside: Path) -> None:  # noqa: ARG001
    node = helper.make_node("Steal", ["x"], ["y"], domain="org.evil")
    x, y = (graphs.value(name, ("batch", 3)) for name in "xy")
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("org.evil", 1)]
    made = helper.make_model(helper.make_graph([node], "test", [x], [y]), opset_imports=opsets, ir_version=9)
    (place / "model.onnx").write_bytes(made.SerializeToString())
    (place / "libsteal.so").write_bytes(b"\x7fELF")


def changed_graph(place: Path, outside: Path) -> None:  # noqa: ARG001
    (place / "model.onnx").write_bytes(graphs.double())
    hashes = {"model.onnx": hashlib.sha256(b"another").hexdigest()}
    (place / "manifest.json").write_text(manifest(files=hashes).model_dump_json())


def weights_without_a_hash(place: Path, outside: Path) -> None:  # noqa: ARG001
    (place / "w").write_bytes(WEIGHTS.tobytes())
    (place / "model.onnx").write_bytes(with_weights("w"))
    hashes = {"model.onnx": hashlib.sha256(with_weights("w")).hexdigest()}
    (place / "manifest.json").write_text(manifest(files=hashes).model_dump_json())


@pytest.mark.parametrize(
    ("lay", "reason"),
    [
        (linked_graph, "model.onnx leads out of its folder"),
        (linked_version, "model.onnx leads out of its folder"),
        (linked_manifest, "manifest.json leads out of its folder"),
        (linked_config, "config.yaml leads out of its folder"),
        (endless_link, "model.onnx: a link that leads nowhere"),
        (hard_link, "model.onnx is a hard link"),
        (weights_above, "wanted a file beside the graph"),
        (weights_by_their_whole_path, "wanted a file beside the graph"),
        (weights_of_another_version, "weights in 'w', somewhere else: wanted a file beside the graph"),
        (linked_weights, "weights in 'w' leads out of its folder"),
        (hard_linked_weights, "w is a hard link"),
        (named_pipe, "model.onnx is no plain file"),
        (folder_for_a_graph, "model.onnx: "),
        (custom_operator, "org.evil:Steal"),
        (changed_graph, "model.onnx is not the file that the manifest was written for"),
        (weights_without_a_hash, "the manifest has hashes, and none of w"),
    ],
)
def test_a_model_that_reaches_out_of_its_folder_fails_alone(
    tmp_path: Path, lay: Callable[[Path, Path], None], reason: str
) -> None:
    graphs.add_to_repository(tmp_path / "models", "good", graphs.double())
    place, outside = tmp_path / "models" / "bad" / "1", tmp_path / "outside"
    place.mkdir(parents=True)
    outside.mkdir()
    (outside / "secret").write_text(ELSEWHERE)
    lay(place, outside)
    with serving(tmp_path / "models", until="/health/live") as client:

        def bad() -> dict[str, str]:
            [found] = [one for one in client.post("/v2/repository/index").json() if one["name"] == "bad"]
            return dict(found)

        wait_until(lambda: bad()["state"] == "UNAVAILABLE", "it neither loaded nor failed")
        assert reason in bad()["reason"]
        for secret in (ELSEWHERE, str(tmp_path)):
            assert secret not in bad()["reason"]
        wait_until(lambda: client.get("/v2/models/good/ready").status_code == 200, "the other model does not serve")
        assert client.get("/health/ready").status_code == 503


def test_links_within_the_repository_serve(tmp_path: Path) -> None:
    """As Kubernetes mounts volumes."""
    data = tmp_path / "models" / "..data"
    graphs.add_to_repository(data, "m", with_weights("w"))
    (data / "m" / "1" / "w").write_bytes(WEIGHTS.tobytes())
    os.link(data / "m" / "1" / "w", data / "m" / "1" / "same")
    (tmp_path / "models" / "m").symlink_to("..data/m")
    (tmp_path / "mounted").symlink_to(tmp_path / "models")
    hashes = {
        "model.onnx": hashlib.sha256(with_weights("w")).hexdigest(),
        "w": hashlib.sha256(WEIGHTS.tobytes()).hexdigest(),
    }
    golden = {"inputs": {"x": [[1, 2, 3]]}, "outputs": {"y": [[2, 4, 6]]}, "tolerance": 1e-6}
    (data / "m" / "1" / "manifest.json").write_text(manifest(files=hashes, golden=golden).model_dump_json())
    with serving(tmp_path / "mounted") as client:
        x = {"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 1, 1]}
        answer = client.post("/v2/models/m/infer", json={"inputs": [x]})
        assert answer.json()["outputs"][0]["data"] == [2, 3, 4]


@pytest.mark.parametrize(
    "name",
    [
        "../outside",
        "..%2foutside",
        "%2e%2e%2foutside",
        "/etc",
        "%2fetc",
        "m%00",
        "\uff0e\uff0e",
        "..\\outside",
        "~",
    ],
)
def test_no_name_reaches_out_of_the_repository(tmp_path: Path, name: str) -> None:
    graphs.add_to_repository(tmp_path / "models", "m", graphs.double())
    graphs.add_to_repository(tmp_path, "outside", graphs.double())
    with serving(tmp_path / "models", repository_control=True) as client:
        for method, path in (
            ("POST", f"/v2/repository/models/{name}/load"),
            ("POST", f"/v2/repository/models/{name}/unload"),
            ("GET", f"/v2/models/{name}"),
            ("GET", f"/v2/models/{name}/config"),
            ("GET", f"/v1/models/{name}/metadata"),
            ("GET", f"/static/{name}/models/m/1/model.onnx"),
        ):
            answer = client.request(method, path)
            assert answer.status_code in (400, 404, 405), path
            assert str(tmp_path) not in answer.text
