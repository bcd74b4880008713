"""A model that is slow, hangs or fails: answers in time, liveness at once, and never the data."""

import contextlib
import http.client
import json
import re
import threading

import pytest

import model_dirs
from server_process import ServerProcess

AGES = 10**12  # turns: longer than any test


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return model_dirs.save_onnx(tmp_path_factory.mktemp("model") / "spinner", model_dirs.onnx_spinner())


def ask(spins, index=0):
    return {"features": {"spins": spins, "index": index}}


def infer(spins, index=0):
    inputs = [
        {"name": n, "shape": [1], "datatype": "INT64", "data": [v]} for n, v in (("spins", spins), ("index", index))
    ]
    return {"inputs": inputs}


def invocation(spins, index=0):
    return {"inputs": {"spins": [spins], "index": [index]}}


PATHS = [("/predict", ask), ("/v2/models/spinner/infer", infer), ("/invocations", invocation)]


def test_the_spinner_is_a_model(model):
    with ServerProcess(model=model) as server:
        assert server.wait_ready().post("/predict", ask(4, 1)).json["prediction"] == 6.0


def test_a_prediction_over_the_limit_is_504_in_each_shape_and_one_that_waits_for_it_too(model):
    with ServerProcess(model=model, timeout=0.3) as server:
        server.wait_ready()
        for path, body in PATHS:  # the first one runs for ever, the others never get the only thread
            reply = server.post(path, body(AGES))
            assert (path, reply.status) == (path, 504)
            assert "0.3 s" in reply.body.decode()


@pytest.mark.parametrize(("path", "body"), PATHS)
def test_a_failing_model_is_500_with_an_id_that_is_in_the_log_and_no_trace(model, path, body):
    with ServerProcess(model=model) as server:
        reply = server.wait_ready().post(path, body(0, 987654))
        assert reply.status == 500
        line = server.wait_for_log("the model failed")
        text = reply.body.decode()
        assert line["failure_id"] in text
        assert "Traceback" not in text
        assert "987654" not in text + str(server.log)
        assert server.post(path, body(0, 1)).status == 200  # and it goes on


def test_probes_answer_while_the_model_is_busy(model):
    with ServerProcess(model=model, timeout=60) as server:
        server.wait_ready()

        def ask_for_ages():
            with contextlib.suppress(http.client.HTTPException, OSError):  # the server ends first
                server.post("/predict", ask(AGES))

        busy = threading.Thread(target=ask_for_ages, daemon=True)
        busy.start()

        def counters():
            return server.request("GET", "/counters", port=server.ops_port).json

        server.wait_until(lambda: counters()["in_flight"] == 1)
        for _ in range(20):
            assert server.get("/livez").status == 200
            assert server.readyz().status == 200
        assert counters()["in_flight"] == 1  # it was busy all the while
        server.__exit__()
        busy.join()


def test_liveness_fails_once_a_prediction_hangs_for_ten_times_the_limit(model):
    with ServerProcess(model=model, timeout=0.05) as server:
        server.wait_ready()
        assert server.post("/predict", ask(AGES)).status == 504
        assert server.get("/livez").status in {200, 503}
        server.wait_until(lambda: server.get("/livez").status == 503)


def test_a_hanging_prediction_does_not_keep_a_drained_process(model):
    with ServerProcess(model=model, timeout=0.2) as server:
        server.wait_ready()
        assert server.post("/predict", ask(AGES)).status == 504
        server.terminate()
        assert server.wait() == 0


@pytest.mark.parametrize("size", [1, 20_000_000])
def test_a_body_over_the_limit_is_413_however_long_it_is(model, size):
    with ServerProcess(model=model, max_body_bytes=30) as server:
        server.wait_ready()
        body = b'{"features": [1, 2, 3, 4, 5, 6' + b" " * size
        reply = server.post("/predict", body)
        assert (reply.status, reply.headers["connection"]) == (413, "close")
        assert server.post("/predict", b'{"features": [1, 2, 3, 4]}').status == 400


def test_numbers_that_are_not_finite_are_null(tmp_path):
    path = model_dirs.save_onnx(tmp_path / "log", model_dirs.onnx_elementwise("Log"))
    with ServerProcess(model=path, golden="Disabled") as server:
        server.wait_ready()
        assert server.post("/invocations", {"inputs": [[-1.0], [0.0]]}).json == {"predictions": {"Y": [[None], [None]]}}
        assert server.post("/predict", {"features": [-1.0]}).json["prediction"] is None
        body = {"inputs": [{"name": "X", "shape": [1, 1], "datatype": "FP32", "data": [-1]}]}
        assert server.post("/v2/models/log/infer", body).json["outputs"][0]["data"] == [None]


def test_a_body_that_does_not_come_is_408_and_gives_its_place_back(model):
    with ServerProcess(model=model, timeout=0.2) as server:
        server.wait_ready()
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.putrequest("POST", "/predict")
        connection.putheader("content-length", "10")
        connection.endheaders(b"{")
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("connection")) == (408, "close")
        answer.read()
        connection.close()
        assert server.request("GET", "/counters", port=server.ops_port).json["in_flight"] == 0


@pytest.mark.parametrize(("path", "body"), PATHS)
def test_a_full_queue_is_429_in_each_shape_before_the_body_is_read_and_probes_answer(model, path, body):
    with ServerProcess(model=model, timeout=60, max_queue=1) as server, contextlib.ExitStack() as stack:
        server.wait_ready()
        for asked in (1, 2):  # one runs for ages, one waits for it
            stack.enter_context(contextlib.closing(posted(server, json.dumps(ask(AGES)).encode())))
            server.wait_until(lambda n=asked: gauge(server, "headgate_requests_in_flight") == n)
        server.wait_until(lambda: gauge(server, "headgate_queue_length") == 1)
        for sent in (body(1), b"no JSON at all"):
            reply = server.post(path, sent)
            assert (reply.status, reply.headers["retry-after"]) == (429, "1")
            assert "wait for the model" in str(reply.json)
        assert (server.get("/livez").status, server.readyz().status) == (200, 200)


def posted(server, body):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("POST", "/predict", body, {"content-type": "application/json"})
    return connection


def gauge(server, name):
    text = server.request("GET", "/metrics", port=server.ops_port).body.decode()
    [value] = re.findall(rf"^{name}{{.*}} (.*)$", text, re.MULTILINE)
    return float(value)


def test_more_rows_than_allowed_are_413(tmp_path):
    with ServerProcess(model=model_dirs.onnx_iris(tmp_path / "iris"), max_rows=2) as server:
        server.wait_ready()
        row = [5.1, 3.5, 1.4, 0.2]
        assert server.post("/invocations", {"inputs": [row] * 2}).status == 200
        reply = server.post("/invocations", {"inputs": [row] * 3})
        assert (reply.status, reply.json["message"]) == (413, "more than 2 rows")


def test_json_that_is_nested_beyond_reason_is_refused(model):
    with ServerProcess(model=model) as server:
        server.wait_ready()
        for path, _ in PATHS:
            for opening in (b"[", b'{"inputs":', b'{"a":['):
                assert server.post(path, opening * 200_000).status == 413
                assert server.post(path, b" " * 70_000 + opening * 9_000).status == 400
