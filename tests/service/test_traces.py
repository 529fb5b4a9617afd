"""Traces, as a receiver of OpenTelemetry's gets them, and Server-Timing, as a caller does."""

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from socket import create_server

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from app.__main__ import main
from tests import graphs
from tests.otlp import Received, grpc_receiver, http_receiver
from tests.serving import serving, serving_process, wait_until

BODY = {"inputs": [{"name": "x", "shape": [2, 1], "datatype": "FP32", "data": [1, 2]}]}
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = PARENT[:-1] + "0"
TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
NAME = "POST /v2/models/{name}/infer"
STAGES = ["decode", "queue", "run", "encode"]
ALL = re.compile(r"queue;dur=\d+\.\d{3}, run;dur=\d+\.\d{3}, total;dur=\d+\.\d{3}")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    graphs.add_to_repository(tmp_path / "models", "m", graphs.times(2))
    return tmp_path / "models"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")


def attributes(span: Span) -> dict[str, object]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value") or "") for one in span.attributes}


def inside(received: Received, span: Span) -> list[Span]:
    return sorted(
        (one for one in received.spans if one.parent_span_id == span.span_id), key=lambda one: one.start_time_unix_nano
    )


@pytest.mark.parametrize(("receiver", "protocol"), [(http_receiver, "http/protobuf"), (grpc_receiver, "grpc")])
def test_a_prediction_is_a_span_of_its_callers_trace_with_its_stages_inside(
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
    receiver: "type[AbstractContextManager[tuple[str, Received]]]",
    protocol: str,
) -> None:
    with receiver() as (address, received):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        with serving(models) as client:
            headers = {"traceparent": PARENT, "x-request-id": "a-1"}
            assert client.post("/v2/models/m/infer", json=BODY, headers=headers).status_code == 200
            wait_until(lambda: bool(received.named(NAME)), "no span came")
    [span] = received.named(NAME)
    assert (span.trace_id.hex(), span.parent_span_id.hex(), span.kind) == (TRACE, CALLER, Span.SPAN_KIND_SERVER)
    assert attributes(span) == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "http.route": "/v2/models/{name}/infer",
        "url.path": "/v2/models/m/infer",
        "headrace.model": "m",
        "headrace.version": 1,
        "headrace.request_id": "a-1",
    }
    stages = inside(received, span)
    assert [one.name for one in stages] == STAGES
    times = [
        span.start_time_unix_nano,
        *(t for one in stages for t in (one.start_time_unix_nano, one.end_time_unix_nano)),
    ]
    assert times == sorted(times) and times[-1] == span.end_time_unix_nano
    assert attributes(stages[2]) == {"headrace.batch.rows": 2, "headrace.batch.requests": 1}
    assert received.services == {"headrace"}


def test_the_run_of_a_batch_is_linked_to_every_request_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graphs.add_to_repository(
        tmp_path, "m", graphs.times(2), config="batching: {max_rows: 6, queue_delay_ms: 10000}\ndeadline_ms: 60000"
    )
    with http_receiver() as (address, received), ThreadPoolExecutor(3) as callers:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        with serving(tmp_path) as client:
            asked = [callers.submit(client.post, "/v2/models/m/infer", json=BODY) for _ in range(3)]
            assert {one.result().status_code for one in asked} == {200}
            wait_until(lambda: len(received.named(NAME)) == 3, "not all spans came")
    requests = {span.span_id: span for span in received.named(NAME)}
    runs = received.named("run")
    assert [attributes(run) for run in runs] == [{"headrace.batch.rows": 6, "headrace.batch.requests": 3}] * 3
    [leading] = [run for run in runs if len(run.links) == 2]
    assert {leading.parent_span_id, *(link.span_id for link in leading.links)} == {*requests}
    others = [run for run in runs if run is not leading]
    assert [[link.span_id for link in run.links] for run in others] == [[leading.span_id]] * 2
    assert len({(run.start_time_unix_nano // 10**6, run.end_time_unix_nano // 10**6) for run in runs}) <= 2


def test_what_a_caller_or_the_sampler_leaves_out_is_not_traced(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with http_receiver() as (address, received):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
        with serving(models) as client:
            for parent in ("", UNSAMPLED, PARENT):
                client.post("/v2/models/m/infer", json=BODY, headers={"traceparent": parent}).raise_for_status()
            wait_until(lambda: bool(received.named(NAME)), "no span came")
    assert len(received.named(NAME)) == 1


@pytest.mark.parametrize("sent", [{}, {"baggage": "a=b"}, {"traceparent": PARENT[:-3]}, {"traceparent": PARENT}])
def test_a_trace_is_the_callers_where_its_headers_name_one(
    models: Path, monkeypatch: pytest.MonkeyPatch, sent: dict[str, str]
) -> None:
    with http_receiver() as (address, received):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        with serving(models) as client:
            for _ in range(2):
                client.post("/v2/models/m/infer", json=BODY, headers=sent).raise_for_status()
            wait_until(lambda: len(received.named(NAME)) == 2, "not all spans came")
    traces = [span.trace_id.hex() for span in received.named(NAME)]
    if PARENT in sent.values():
        assert traces == [TRACE] * 2
    else:
        assert len({*traces} - {"0" * 32, TRACE}) == 2
        assert {span.parent_span_id for span in received.named(NAME)} == {b""}


def test_errors_and_other_routes_are_spans_too(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graphs.add_to_repository(models, "slow", graphs.slow(turns=500), config="deadline_ms: 10")
    with http_receiver() as (address, received):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        with serving(models) as client:
            assert client.post("/v2/models/m/infer", json={}).status_code == 400
            assert client.post("/v2/models/none/infer", json=BODY).status_code == 404
            assert client.get("/v1/models/m").status_code == 200
            assert client.get("/nothing").status_code == 404
            late = client.post("/v2/models/slow/infer", json=BODY)
            assert late.status_code == 504
            wait_until(lambda: bool(received.named("GET")), "no span came")
            wait_until(
                lambda: "slow" in {attributes(span).get("headrace.model") for span in received.spans}, "none came"
            )
    found = {attributes(span)["url.path"]: span for span in received.spans if span.kind == Span.SPAN_KIND_SERVER}
    assert attributes(found["/v2/models/none/infer"])["http.response.status_code"] == 404
    assert found["/v1/models/m"].name == "GET /v1/models/{name:model}"
    assert found["/nothing"].name == "GET"
    failed = found.pop("/v2/models/slow/infer")
    assert (failed.status.code, failed.status.message) == (Status.STATUS_CODE_ERROR, late.json()["error"])
    [raised] = failed.events
    assert (raised.name, [one.key for one in raised.attributes]) == (
        "exception",
        ["exception.type", "exception.message", "exception.stacktrace"],
    )
    assert {span.status.code for span in found.values()} == {Status.STATUS_CODE_UNSET}


def test_nothing_is_sent_unless_it_is_asked_for(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with http_receiver() as (address, received):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        for name, value in (("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")):
            with monkeypatch.context() as told:
                told.setenv(name, value)
                with serving(models, traces=True) as client:
                    client.post("/v2/models/m/infer", json=BODY).raise_for_status()
    assert received.spans == []


def test_a_receiver_that_never_answers_costs_neither_requests_nor_the_stop(models: Path, tmp_path: Path) -> None:
    with create_server(("127.0.0.1", 0)) as deaf:
        address = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        with serving_process(models, tmp_path / "log", "--traces", OTEL_EXPORTER_OTLP_ENDPOINT=address) as (
            client,
            process,
        ):
            for _ in range(3):
                client.post("/v2/models/m/infer", json=BODY).raise_for_status()
            process.terminate()
            assert process.wait(timeout=30) == 0
    assert "Traceback" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "no exporter zipkin of traces is installed, only console, otlp_proto_"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_EXPORTER_OTLP_PROTOCOL": "json"}, "is json, wanted http/"),
    ],
)
def test_an_exporter_that_is_not_there_is_told_at_the_start(
    models: Path,
    variables: dict[str, str],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert main(["serve", "--models", str(models), "--port", "0"]) == 2
    assert told in capsys.readouterr().err


def test_every_answer_says_where_its_time_went(models: Path) -> None:
    with serving(models) as client:
        predicted = client.post("/v2/models/m/infer", json=BODY).headers["server-timing"]
        assert ALL.fullmatch(predicted)
        queue, run, total = (float(part.partition("=")[2]) for part in predicted.split(", "))
        assert 0 < run <= total and queue <= total
        many = {"inputs": [{"name": "x", "shape": [50_000, 1], "datatype": "FP32", "data": [1] * 50_000}]}
        assert ALL.fullmatch(client.post("/v2/models/m/infer", json=many).headers["server-timing"])
        assert ALL.fullmatch(client.post("/v1/models/m:explain", json={"instances": [[1]]}).headers["server-timing"])
        for answer in (client.get("/"), client.get("/none"), client.post("/v2/models/m/infer", content=b"{")):
            assert re.fullmatch(r"total;dur=\d+\.\d{3}", answer.headers["server-timing"])
