"""HTTP as such, whatever the route: methods, paths, and bytes that are not HTTP at all."""

import json
import socket
from collections.abc import Iterator

import httpx
import pytest

from app.settings import Settings
from tests import graphs
from tests.serving import serving


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("models")
    graphs.add_to_repository(folder, "m", graphs.double())
    with serving(folder) as client:
        yield client


def answer_to(client: httpx.Client, sent: bytes) -> tuple[bytes, bytes]:
    """The head and the body that come back for bytes as they are, up to the end of the connection."""
    with socket.create_connection((client.base_url.host, client.base_url.port or 0), timeout=10) as raw:
        raw.sendall(sent)
        answer = b""
        while part := raw.recv(65536):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/models/m:predict", {"POST"}),
        ("/v1/models/m/versions/1:predict", {"POST"}),
        ("/v2/models/m/infer", {"POST"}),
        ("/v1/models/m", {"GET", "HEAD"}),
        ("/health/live", {"GET", "HEAD"}),
        ("/openapi.json", {"GET", "HEAD"}),
        ("/static/swagger.js", {"GET", "HEAD"}),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "QUERY", "PROPFIND"])
def test_a_method_that_a_path_does_not_take_is_told_which_ones_it_takes(
    client: httpx.Client, path: str, allowed: set[str], method: str
) -> None:
    if method in allowed:
        return
    answer = client.request(method, path)
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == allowed
    assert answer.json() == {"error": f"method {method} is not allowed on {path}"}


@pytest.mark.parametrize(
    "path", ["/", "/health/live", "/health/ready", "/v2/models/m", "/docs", "/metrics", "/v1/models"]
)
def test_head_answers_as_get_does_without_the_body(client: httpx.Client, path: str) -> None:
    head, get = client.head(path), client.get(path)
    assert (head.status_code, head.content) == (get.status_code, b"")
    assert head.headers["content-type"] == get.headers["content-type"]
    assert client.head("/v2/models/nobody").status_code == 404


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"BREW /v2 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\nHost: x\r\nA header: without a name\r\n\r\n",
        b"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nContent-Length: two\r\n\r\n{}",
        b"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    ],
)
def test_bytes_that_are_not_http_get_an_error_in_the_one_shape(client: httpx.Client, sent: bytes) -> None:
    head, body = answer_to(client, sent)
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"\r\ncontent-type: application/json" in head
    assert "this is not HTTP/1.1" in json.loads(body)["error"]


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (b"/%", "/%"),
        (b"/%zz", "/%zz"),
        (b"/%ff%fe", "/\ufffd\ufffd"),
        (b"/%00", "/\x00"),
        (b"//v2", "//v2"),
        (b"/v2/", "/v2/"),
        (b"*", "*"),
        (b"/v1/models/a%2Fb", "/v1/models/a/b"),
        (b"/v1/models/m:", "/v1/models/m:"),
        (b"/static/%2e%2e/web.py", "/static/../web.py"),
        (b"/" + b"a" * 16_000, "/" + "a" * 199 + "..."),
    ],
)
def test_a_path_that_leads_nowhere_is_told_back_in_short(client: httpx.Client, path: bytes, shown: str) -> None:
    head, body = answer_to(client, b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 404 ")
    assert f"no such path: {shown}; GET /openapi.json lists all" in json.loads(body)["error"].replace("/*", "*")


@pytest.mark.parametrize("wanted", ["bytes=0-9", "bytes=99999999-", "bytes=x", "apples"])
@pytest.mark.parametrize("path", ["/docs", "/static/swagger.js", "/openapi.json"])
def test_a_range_is_answered_with_the_whole(client: httpx.Client, path: str, wanted: str) -> None:
    answer = client.get(path, headers={"range": wanted})
    assert (answer.status_code, answer.content) == (200, client.get(path).content)


def test_a_resting_connection_is_closed_by_its_caller_before_the_service_does() -> None:
    assert Settings().keep_alive_s > (httpx.Limits().keepalive_expiry or 0) > 0
