"""V1 bodies of one turn are read together as each of them by itself."""

from typing import Any

import numpy as np
import orjson
import pytest

from app.inference.model import Model, open_version
from app.manifest import ModelConfig
from app.metrics import Metrics
from app.protocols import v1_codec
from app.protocols.allowance import BodyLimits
from app.protocols.together import cut, pieces_of
from app.protocols.v1_together import LARGEST_TYPED, V1Codec
from tests.manifests import EVERY_KIND, every_kind

ROW = {feature["name"]: feature["example"] for _, features in EVERY_KIND.values() for feature in features}

MANY_ROWS = [{"instances": [ROW] * 50}, {"instances": [ROW | {"day": " " * LARGEST_TYPED}]}]

FILE = {"instances": [ROW | {"photo": {"b64": ""}}]}

ROWS = [
    [ROW],
    [ROW | {"place": "kiwi", "count": 4.0, "day": "1969-12-31"}, ROW],
    [ROW | {"age": None, "price": None}],
    [{name: value for name, value in ROW.items() if name not in ("age", "price")}],
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    file = tmp_path_factory.mktemp("models") / "model.onnx"
    graph, described = every_kind()
    file.write_bytes(graph)
    config = ModelConfig.model_validate({"batching": {"max_rows": 20}})
    return Model("kinds", 1, open_version(file, described, config, cores=1), config, Metrics())


def test_features_of_every_kind_are_read_together_as_alone(model: Model) -> None:
    codec = V1Codec(model)
    bodies = [orjson.dumps({"instances": rows}) for rows in ROWS]
    reads = [read for body in bodies if (read := codec.read(body, None))]
    assert [read.rows for read in reads] == [len(rows) for rows in ROWS]
    pieces = pieces_of(model, reads, "token")
    assert pieces
    for body, tensors in zip(bodies, cut(pieces, reads), strict=True):
        alone = v1_codec.decode(body, model.signature, model.manifest, BodyLimits()).tensors
        assert tensors.keys() == alone.keys()
        for name, tensor in tensors.items():
            np.testing.assert_array_equal(tensor, alone[name])
            assert tensor.dtype == alone[name].dtype


@pytest.mark.parametrize("body", [*MANY_ROWS, FILE], ids=["rows", "bytes", "file"])
def test_what_would_hold_up_the_others_is_read_by_itself(model: Model, body: dict[str, Any]) -> None:
    assert V1Codec(model).read(orjson.dumps(body), None) is None
