"""HTTPS, with a certificate of our own."""

import re
import ssl
import subprocess
import sys
from pathlib import Path
from time import time

import httpx
import pytest

from tests import graphs
from tests.certificates import self_signed
from tests.serving import serving_process

pytestmark = pytest.mark.e2e

ROW = {"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [3]}]}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key."""
    return self_signed(tmp_path_factory.mktemp("tls"))


def test_a_prediction_over_https_and_none_without(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    graphs.add_to_repository(tmp_path / "models", "m", graphs.times(2))
    made, key = certificate
    trusted = ssl.create_default_context(cafile=str(made))
    flags = ("--tls-certificate", str(made), "--tls-key", str(key))
    with serving_process(tmp_path / "models", tmp_path / "log", *flags, trusted=trusted) as (client, process):
        assert client.base_url.scheme == "https"
        for _ in range(3):
            assert client.post("/v2/models/m/infer", json=ROW).json()["outputs"][0]["data"] == [6]
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{client.base_url.copy_with(scheme='http')}/health/live")
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            httpx.get(f"{client.base_url}/health/live")
        ends = re.search(r"\nheadrace_certificate_expiry_timestamp_seconds (\S+)", client.get("/metrics").text)
        assert ends
        assert time() + 86400 < float(ends[1]) <= time() + 2 * 86400
        process.terminate()
        assert process.wait(timeout=30) == 0


def test_a_certificate_that_cannot_be_used_is_told_before_the_start(
    tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    made, key = certificate
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("no certificate")
    for flags, sentence in (
        (("--tls-certificate", str(wrong)), "wrong.pem: no certificate with its private key"),
        (("--tls-certificate", str(made)), "certificate.pem: no certificate with its private key"),
        (("--tls-certificate", str(tmp_path / "none")), "No such file"),
        (("--tls-key", str(key)), "--tls-key without --tls-certificate"),
        (("--keys-file", str(made)), "certificate.pem: "),
    ):
        command = [sys.executable, "-m", "app", "serve", "--models", str(tmp_path), *flags]
        refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert sentence in refused.stderr


def test_a_key_is_made_once_and_its_entry_opens_the_service(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path / "models", "m", graphs.times(2))
    command = [sys.executable, "-m", "app", "key", "shop", "infer", "read"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (tmp_path / "keys.yaml").write_text(told)
    header = {"x-api-key": told.splitlines()[0].rpartition(" ")[2]}
    with serving_process(tmp_path / "models", tmp_path / "log", "--keys-file", str(tmp_path / "keys.yaml")) as (
        client,
        _,
    ):
        assert client.post("/v2/models/m/infer", json=ROW, headers=header).status_code == 200
        assert client.post("/v2/models/m/infer", json=ROW).status_code == 401
    for wrong in (["key"], ["key", "shop"], ["key", "shop", "write"], ["key", "a b", "read"]):
        refused = subprocess.run([*command[:3], *wrong], capture_output=True, text=True, check=False)
        assert (refused.returncode, refused.stdout) == (2, "")
