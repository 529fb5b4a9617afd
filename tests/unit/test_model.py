"""A manifest that does not agree with its graph is told at load, before a caller could meet it."""

from pathlib import Path
from typing import Any

import pytest

from app.errors import ModelLoadFailed
from app.inference.model import open_version
from app.manifest import ModelConfig
from tests import graphs
from tests.manifests import manifest

CLIP = {"kind": "audio", "shape": [2], "sample_rate": 8000}
PHOTO = {"kind": "image", "shape": [1, 2], "layout": "HW", "minimum": 0, "maximum": 1}


def opened(folder: Path, datatype: str, shape: tuple[str | int, ...], *features: dict[str, Any]) -> None:
    file = folder / "model.onnx"
    file.write_bytes(graphs.identity(datatype, shape))
    described = [{"name": f"f{place}", "example": 0, **feature} for place, feature in enumerate(features)]
    outputs = [{"tensor": "y", "kind": "value", "name": "value"}]
    golden: dict[str, Any] = {"inputs": {}, "outputs": {}, "tolerance": 0}
    whole = manifest(inputs=[{"tensor": "x", "features": described}], outputs=outputs, golden=golden)
    open_version(file, whole, ModelConfig(), cores=1)


@pytest.mark.parametrize(
    ("datatype", "shape", "feature", "message"),
    [
        ("FP32", ("n", 2), {}, r"x: the manifest's features fill \(1,\), the graph takes \(2,\)"),
        ("FP32", ("n", 1), {"kind": "text"}, r"f0 \(text, missing: refuse\) needs BYTES, x is FP32"),
        ("FP16", ("n", 1), {"kind": "date"}, r"f0 \(date, missing: refuse\) needs INT32, INT64, FP32, FP64, x is FP16"),
        ("BYTES", ("n", 1), {}, r"f0 \(number, missing: refuse\) needs BOOL, .*, FP64, x is BYTES"),
        ("INT64", ("n", 1), {"missing": "nan"}, r"f0 \(number, missing: nan\) needs FP16, FP32, FP64, x is INT64"),
        ("INT16", ("n", 2), CLIP, r"f0 \(audio, missing: refuse\) needs FP16, FP32, FP64, x is INT16"),
        ("BYTES", ("n", 1, 2), PHOTO, r"f0 \(image, missing: refuse\) needs UINT8, .*, FP64, x is BYTES"),
        ("BOOL", ("n", 1), {"kind": "category", "categories": ["a"]}, r"f0 \(category, .* x is BOOL"),
    ],
)
def test_a_feature_that_its_tensor_cannot_hold_is_told(
    tmp_path: Path, datatype: str, shape: tuple[str | int, ...], feature: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelLoadFailed, match=message):
        opened(tmp_path, datatype, shape, feature)


def test_several_numbers_where_the_manifest_promises_one_are_told(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(graphs.double())
    with pytest.raises(ModelLoadFailed, match=r"golden rows: y has shape \[1, 3\], wanted 1 a row"):
        open_version(
            file,
            manifest(outputs=[{"tensor": "y", "kind": "value", "name": "length"}]),
            ModelConfig(),
            cores=1,
        )
