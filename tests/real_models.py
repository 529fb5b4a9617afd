"""ONNX models that others made and ship inside Python packages: what exporters really write.

`python -m tests.real_models` fetches them into the git-ignored .cache/real-models; the tests do so too where they are
missing. The packages themselves are not installed: their pins contradict ours, and only the .onnx files are wanted.
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

FOLDER = Path(__file__).parents[1] / ".cache" / "real-models"

WHEELS = {
    "silero-vad==6.2.3": "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
    "magika==1.0.3": "3e9b49134e8116ee40b431664dcbed9e199413efddcce1a173c734b4e0521529",
    "rapidocr-onnxruntime==1.4.4": "971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf",
}
"""Package -> SHA-256 of its wheel."""

PLATFORM = "manylinux_2_28_x86_64"
"""Of the wheels, wherever they are fetched: magika's holds a program, the models are the same for all."""

FILES = {
    "silero-vad": "silero_vad/data/silero_vad.onnx",
    "silero-vad-ifless": "silero_vad/data/silero_vad_op18_ifless.onnx",
    "magika": "magika/models/standard_v3_3/model.onnx",
    "text-direction": "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx",
    "text-recognition": "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx",
    "text-detection": "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx",
}
"""Model -> its file inside a wheel."""


def fetch() -> Path:
    """The repository with every model as <name>/1/model.onnx; fetched first if anything is missing.

    Raises ValueError for a wheel that is not the one pinned above.
    """
    if all(place(name).exists() for name in FILES):
        return FOLDER
    with tempfile.TemporaryDirectory() as folder:
        download(Path(folder))
        for wheel in Path(folder).glob("*.whl"):
            unpack(wheel)
    return FOLDER


def place(name: str) -> Path:
    return FOLDER / name / "1" / "model.onnx"


def download(folder: Path) -> None:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--platform", PLATFORM, "--dest", str(folder), *WHEELS], check=True)
    found = {hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in folder.glob("*.whl")}
    if found != set(WHEELS.values()):
        raise ValueError(f"the wheels of {', '.join(WHEELS)} are not the ones that were pinned")


def unpack(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name, file in FILES.items():
            if file in archive.namelist():
                place(name).parent.mkdir(parents=True, exist_ok=True)
                part = place(name).with_suffix(".part")
                part.write_bytes(archive.read(file))
                part.rename(place(name))


if __name__ == "__main__":
    print(fetch())
