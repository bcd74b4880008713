"""What the server tells of itself: /counters for the operator, /metrics for Prometheus, the log for people."""

import http.client
import json
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

import model_dirs
from headgate_server.contract import BUCKET_UPPER_BOUNDS_SECONDS
from headgate_server.counts import Counts
from server_process import ServerProcess

BODY = {"features": [5.1, 3.5, 1.4, 0.2]}
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "metrics-server.md"


@pytest.fixture
def server(tmp_path):
    path = model_dirs.onnx_iris(tmp_path / "iris")
    with ServerProcess(model=path, model_version="3", revision="0123456789") as made:
        yield made.wait_ready()


def counters(server):
    return server.request("GET", "/counters", port=server.ops_port).json


def samples(server):
    text = server.request("GET", "/metrics", port=server.ops_port).body.decode()
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def ask_each_path(server):
    infer = {"inputs": [{"name": "X", "shape": [1, 4], "datatype": "FP32", "data": BODY["features"]}]}
    server.post("/predict", BODY)
    server.post("/predict", BODY)
    server.post("/invocations", {"inputs": [BODY["features"]]})
    server.post("/v2/models/iris/infer", infer)
    server.post("/v1/models/iris:predict", {"instances": [BODY["features"]]})
    server.post("/api/predict/batch", {"instances": [BODY["features"]]})
    server.get("/health")
    server.get("/v1/models/iris")
    server.post("/predict", {"features": ["a"]})
    server.post("/predict", b"{")
    server.get("/nope")


def test_counters_are_the_contracts(server):
    before = counters(server)
    assert before["last_request_age_seconds"] is None
    assert before["requests"] == []
    ask_each_path(server)
    body = counters(server)
    assert set(body) == {
        "start_id", "uptime_seconds", "model", "version", "revision", "ready", "draining", "in_flight",
        "open_connections", "last_request_age_seconds", "bucket_upper_bounds_seconds", "requests", "errors",
        "predictions",
    }  # fmt: skip
    assert (body["model"], body["version"], body["revision"], body["ready"]) == ("iris", "3", "0123456789", True)
    assert body["start_id"] == before["start_id"]
    assert body["uptime_seconds"] > before["uptime_seconds"] > 0
    counted = {(path, code): count for path, code, count, _ in body["requests"]}
    assert counted == {
        ("predict", 200): 3,
        ("predict", 400): 2,
        ("invocations", 200): 1,
        ("v1_predict", 200): 1,
        ("v2_infer", 200): 1,
        ("other", 200): 2,
        ("other", 404): 1,
    }
    assert all(len(buckets) == 58 and sum(buckets) == count for _, _, count, buckets in body["requests"])
    assert body["bucket_upper_bounds_seconds"] == [0.0001 * 1.25**i for i in range(57)]
    assert dict(body["errors"]) == {"bad_json": 1, "invalid_input": 1, "not_found": 1}
    assert body["last_request_age_seconds"] >= 0
    assert body["in_flight"] == 0


def test_probes_and_scrapes_count_neither_as_requests_nor_as_the_last_one(server):
    for path in ("/livez", "/readyz", "/metrics", "/counters"):
        for port in (server.port, server.ops_port):
            assert server.request("GET", path, port=port).status == 200
    body = counters(server)
    assert (body["requests"], body["last_request_age_seconds"]) == ([], None)


def test_open_connections_and_requests_in_flight_are_those_of_the_prediction_port(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.putrequest("POST", "/predict")
    connection.putheader("content-length", "10")
    connection.endheaders()
    server.wait_until(lambda: counters(server)["in_flight"] == 1)
    assert counters(server)["open_connections"] == 1
    connection.close()
    server.wait_until(lambda: counters(server)["open_connections"] == 0)
    server.wait_until(lambda: counters(server)["in_flight"] == 0)


def test_another_process_has_another_start_id(server, tmp_path):
    with ServerProcess(model=tmp_path / "iris") as other:
        assert counters(other)["start_id"] != counters(server)["start_id"]


def test_metrics_tell_the_same_numbers_under_the_contracts_names(server):
    ask_each_path(server)
    who = {"model": "iris", "version": "3", "revision": "0123456789"}
    found = samples(server)
    total = {(s.labels["path"], s.labels["code"]): s.value for s in found if s.name == "headgate_requests_total"}
    assert total[("predict", "200")] == 3
    assert total[("other", "404")] == 1
    [edges] = [
        [s for s in found if s.name == "headgate_request_duration_seconds_bucket" and s.labels["path"] == "v2_infer"]
    ]
    assert len(edges) == 58
    assert [float(s.labels["le"]) for s in edges[:-1]] == pytest.approx(BUCKET_UPPER_BOUNDS_SECONDS)
    assert edges[-1].value == 1
    errors = {s.labels["reason"]: s.value for s in found if s.name == "headgate_errors_total"}
    assert errors == {"bad_json": 1, "invalid_input": 1, "not_found": 1}
    single = {s.name: s.value for s in found if s.labels == who}
    assert single["headgate_schema_violations_total"] == 1
    assert single["headgate_model_loaded"] == 1
    assert single["headgate_requests_in_flight"] == 0
    assert single["headgate_model_load_seconds"] > 0
    [about] = [s for s in found if s.name == "headgate_model_info"]
    assert about.labels["digest"] == server.readyz().json["digest"]
    assert {"process_resident_memory_bytes", "process_cpu_seconds_total"} <= {s.name for s in found}


def test_every_metric_is_on_the_reference_page(server):
    ask_each_path(server)
    page = PAGE.read_text(encoding="utf-8")
    names = {s.name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count") for s in samples(server)}
    assert [n for n in sorted(names) if n.startswith("headgate_") and f"`{n}`" not in page] == []


def test_a_server_without_a_model_says_so_in_its_metrics(tmp_path):
    with ServerProcess(model=tmp_path / "nothing", model_name="iris", model_version="3") as server:
        server.wait_for_reason("ArtifactMissing")
        assert server.post("/predict", BODY).status == 503
        values = {s.name: s.value for s in samples(server)}
        assert values["headgate_model_loaded"] == 0
        assert "headgate_model_info" not in values
        assert counters(server)["requests"][0][:3] == ["predict", 503, 1]


@pytest.mark.parametrize(("seconds", "bucket"), [(0.0, 0), (0.0001, 0), (0.00011, 1), (1e9, 57)])
def test_a_duration_on_an_edge_belongs_below_it(seconds, bucket):
    counts = Counts()
    counts.answered("predict", 200, seconds)
    assert counts.rows[("predict", 200)].buckets[bucket] == 1


def test_the_log_is_json_a_line_a_step_and_none_a_request(server):
    before = len(server.log)
    ask_each_path(server)
    server.terminate()
    server.wait_for_log("draining")
    assert len(server.log) == before + 1
    messages = [line["message"] for line in server.log]
    assert messages[:4] == ["starting", "loaded", "warmed", "ready"]
    assert all({"timestamp", "level", "logger", "message"} <= set(line) for line in server.log)
    told = [{key: value for key, value in line.items() if key != "timestamp"} for line in server.log]
    assert "5.1" not in json.dumps(told)
