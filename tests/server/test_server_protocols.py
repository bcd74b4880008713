"""Predictions over real sockets, in each protocol's own words."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

import model_dirs
from headgate_server.answering import handlers
from headgate_server.app import prediction_app
from headgate_server.counts import Counts
from headgate_server.hot import Paths
from headgate_server.predictor import Predictor
from headgate_server.registry.source import Source
from headgate_server.reloading import Reloader
from headgate_server.state import State
from headgate_server.whole import Whole
from server_settings import server_settings

ROW = [5.1, 3.5, 1.4, 0.2]
PROBABILITIES = [0.9847031668428455, 0.015296771119383056, 6.20377713724823e-08]


def infer_body(rows=(ROW,), name="X", datatype="FP32", **more):
    flat = [value for row in rows for value in row]
    return {"inputs": [{"name": name, "shape": [len(rows), 4], "datatype": datatype, "data": flat}], **more}


def columns_body(row=ROW):
    names = model_dirs.IRIS_COLUMNS
    inputs = [{"name": n, "shape": [1], "datatype": "FP64", "data": [v]} for n, v in zip(names, row, strict=True)]
    return {"inputs": inputs}


# -- /predict -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [{"features": ROW}, {"features": model_dirs.IRIS_ROW}, model_dirs.IRIS_ROW],
    ids=["a list", "an object", "the bare record"],
)
def test_predict_takes_one_row(sklearn_server, body):
    reply = sklearn_server.post("/predict", body)
    assert reply.status == 200
    answer = reply.json
    assert (answer["prediction"], answer["model"], answer["version"]) == (0, "iris lr", "1")
    assert answer["probability"] == pytest.approx(PROBABILITIES[0])
    assert answer["request_id"] == reply.headers["x-request-id"]
    assert answer["latency_ms"] > 0


def test_predict_names_the_class_where_the_model_does(onnx_server):
    answer = onnx_server.post("/predict", {"features": [6.7, 3.0, 5.2, 2.3]}).json
    assert (answer["prediction"], answer["class_name"]) == (2, "vi")
    assert answer["probability"] == pytest.approx(0.961011, abs=1e-5)


def test_predict_of_a_model_without_probabilities_has_none(tmp_path):
    from sklearn.linear_model import LinearRegression

    from server_process import ServerProcess

    model = LinearRegression().fit([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0])
    path = model_dirs.save_estimator(tmp_path / "line", model, inputs=model_dirs.columns(["x"]))
    with ServerProcess(model=path) as server:
        answer = server.wait_ready().post("/predict", {"features": {"x": 10}}).json
    assert answer["prediction"] == pytest.approx(21.0)
    assert "probability" not in answer
    assert "class_name" not in answer
    assert answer["model"] == "line"


# -- /invocations ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": ["pw", "sl", "sw", "pl"], "data": [[0.2, 5.1, 3.5, 1.4], [2.3, 6.7, 3, 5.2]]}},
        {"dataframe_split": {"columns": list(model_dirs.IRIS_COLUMNS), "index": [7, 8], "data": model_dirs.IRIS_ROWS}},
        {"dataframe_records": [dict(zip(model_dirs.IRIS_COLUMNS, row, strict=True)) for row in model_dirs.IRIS_ROWS]},
        {"instances": [dict(zip(model_dirs.IRIS_COLUMNS, row, strict=True)) for row in model_dirs.IRIS_ROWS]},
        {"instances": model_dirs.IRIS_ROWS},
        {"inputs": {"sl": [5.1, 6.7], "sw": [3.5, 3.0], "pl": [1.4, 5.2], "pw": [0.2, 2.3]}},
        {"inputs": model_dirs.IRIS_ROWS, "params": {"x": 1}},
    ],
    ids=["split", "split with index", "records", "instances of objects", "instances", "inputs by column", "inputs"],
)
def test_invocations_take_each_format(sklearn_server, body):
    reply = sklearn_server.post("/invocations", body)
    assert (reply.status, reply.json) == (200, {"predictions": [0, 2]})


def test_invocations_of_several_outputs_are_an_object_of_lists(onnx_server):
    predictions = onnx_server.post("/invocations", {"inputs": model_dirs.IRIS_ROWS}).json["predictions"]
    assert predictions["label"] == [0, 2]
    assert predictions["probabilities"][0] == pytest.approx(PROBABILITIES, abs=1e-5)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "BAD_REQUEST"),
        ([], "BAD_REQUEST"),
        ({"data": [ROW]}, "BAD_REQUEST"),
        ({"inputs": [ROW], "instances": [ROW]}, "BAD_REQUEST"),
        ({"inputs": [ROW[:3]]}, "INVALID_PARAMETER_VALUE"),
        ({"inputs": []}, "INVALID_PARAMETER_VALUE"),
        ({"inputs": [["a", "b", "c", "d"]]}, "BAD_REQUEST"),
        ({"dataframe_split": {"columns": ["a"]}}, "BAD_REQUEST"),
        ({"dataframe_split": {"columns": ["a"], "data": [[1]], "other": 1}}, "BAD_REQUEST"),
        ({"dataframe_records": []}, "BAD_REQUEST"),
    ],
)
def test_invocations_that_do_not_fit_are_400_in_mlflows_shape_and_with_its_code(onnx_server, body, code):
    reply = onnx_server.post("/invocations", body)
    assert (reply.status, set(reply.json)) == (400, {"error_code", "message"})
    assert reply.json["error_code"] == code


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ('application/json; charset="UTF-8"', 200),
        ("application/json; charset=latin-1", 415),
        ("application/json; format=pandas-records", 415),
        ("application/vnd.apache.parquet", 415),
        ("application/xml", 415),
    ],
)
def test_invocations_say_which_media_types_they_read(onnx_server, content_type, status):
    reply = onnx_server.post("/invocations", {"inputs": [ROW]}, headers={"content-type": content_type})
    assert reply.status == status


# -- V2 -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v2/models/iris/infer", "/v2/models/iris/versions/3/infer"])
def test_v2_infer_answers_with_version_id_and_all_outputs(onnx_server, path):
    reply = onnx_server.post(path, infer_body(model_dirs.IRIS_ROWS, id="abc"))
    answer = reply.json
    assert (reply.status, answer["model_name"], answer["model_version"], answer["id"]) == (200, "iris", "3", "abc")
    label, probabilities = answer["outputs"]
    assert label == {"name": "label", "shape": [2], "datatype": "INT64", "data": [0, 2]}
    assert (probabilities["datatype"], probabilities["shape"]) == ("FP32", [2, 3])
    assert probabilities["data"][:3] == pytest.approx(PROBABILITIES, abs=1e-5)


def test_v2_infer_reads_nested_data_without_a_content_type_and_under_any_name_for_an_unnamed_tensor(onnx_server):
    body = {"inputs": [{"name": "input-0", "shape": [1, 4], "datatype": "FP64", "data": [ROW]}]}
    reply = onnx_server.post("/v2/models/iris/infer", body, headers={"content-type": None})
    assert (reply.status, reply.json["outputs"][0]["data"]) == (200, [0])


def test_invocations_want_a_content_type(onnx_server):
    reply = onnx_server.post("/invocations", {"inputs": [ROW]}, headers={"content-type": None})
    assert (reply.status, set(reply.json)) == (415, {"error_code", "message"})


def test_v2_infer_returns_only_what_is_asked_for(onnx_server):
    answer = onnx_server.post("/v2/models/iris/infer", infer_body(outputs=[{"name": "probabilities"}])).json
    assert [o["name"] for o in answer["outputs"]] == ["probabilities"]


def test_v2_infer_of_columns_is_one_input_a_column(sklearn_server):
    reply = sklearn_server.post("/v2/models/iris%20lr/infer", columns_body())
    assert reply.json["outputs"] == [{"name": "predict", "shape": [1], "datatype": "INT64", "data": [0]}]
    asked = columns_body() | {"outputs": [{"name": "predict_proba"}]}
    output = sklearn_server.post("/v2/models/iris%20lr/infer", asked).json["outputs"][0]
    assert (output["shape"], output["data"]) == ([1, 3], pytest.approx(PROBABILITIES))


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"inputs": []},
        {"inputs": [1]},
        infer_body(id=7),
        infer_body(datatype="FLOAT"),
        infer_body(datatype="FP16"),
        infer_body(datatype="BYTES"),
        infer_body(rows=[["a", "b", "c", "d"]]),
        infer_body(datatype="INT64"),
        infer_body(outputs=[{"name": "nope"}]),
        infer_body(outputs=["label"]),
        {"inputs": [{"name": "X", "shape": [1, 5], "datatype": "FP32", "data": ROW}]},
        {"inputs": [{"name": "X", "shape": [2, 2], "datatype": "FP32", "data": ROW}]},
        {"inputs": [{"name": "X", "shape": [-1, 4], "datatype": "FP32", "data": ROW}]},
        {"inputs": [{"name": "X", "shape": [2**53] * 800, "datatype": "FP32", "data": ROW}]},
        {"inputs": [{"name": "X", "shape": [1, 4], "datatype": "FP32"}]},
        {"inputs": [{"name": "X", "shape": [1, 4], "datatype": "FP32", "parameters": {"binary_data_size": 16}}]},
        {"inputs": [infer_body()["inputs"][0], infer_body()["inputs"][0]]},
    ],
)
def test_v2_infer_that_does_not_fit_is_400_with_error(onnx_server, body):
    reply = onnx_server.post("/v2/models/iris/infer", body)
    assert (reply.status, set(reply.json)) == (400, {"error"})


def test_v2_says_what_the_model_takes_and_gives(onnx_server, sklearn_server):
    for path in ("/v2/models/iris", "/v2/models/iris/versions/3"):
        assert onnx_server.get(path).json == {
            "name": "iris",
            "versions": ["3"],
            "platform": "onnx_onnxv1",
            "inputs": [{"name": "X", "datatype": "FP32", "shape": [-1, 4]}],
            "outputs": [
                {"name": "label", "datatype": "INT64", "shape": [-1]},
                {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]},
            ],
        }
    about = sklearn_server.get("/v2/models/iris%20lr").json
    assert [i["name"] for i in about["inputs"]] == list(model_dirs.IRIS_COLUMNS)
    assert [o["name"] for o in about["outputs"]] == ["predict", "predict_proba"]


def test_v2_health_and_server_metadata(onnx_server):
    assert onnx_server.get("/v2/health/live").json == {"live": True}
    assert onnx_server.get("/v2/health/ready").json == {"ready": True, "live": True}
    assert onnx_server.get("/v2/models/iris/ready").json == {"name": "iris", "ready": True}
    assert onnx_server.get("/v2/models/iris/versions/3/ready").status == 200
    for path in ("/v2", "/v2/"):
        assert set(onnx_server.get(path).json) == {"name", "version", "extensions"}


# -- about ----------------------------------------------------------------------------------------------------


def test_model_info_and_health_say_what_is_served(onnx_server):
    info = onnx_server.get("/model/info").json
    assert (info["name"], info["version"], info["flavor"], info["run_id"]) == ("iris", "3", "onnx", "r-1")
    assert info["digest"] == onnx_server.readyz().json["digest"]
    health = onnx_server.get("/health")
    assert (health.status, health.json["status"], health.json["model_version"]) == (200, "healthy", "3")
    assert health.json["target_classes"] == ["s", "ve", "vi"]


def test_readyz_is_the_contracts(onnx_server):
    for port in (onnx_server.port, onnx_server.ops_port):
        body = onnx_server.request("GET", "/readyz", port=port).json
        assert set(body) == {"ready", "model", "version", "revision", "digest", "golden"}
        assert (body["model"], body["version"], body["revision"]) == ("iris", "3", "0123456789")


# -- failures -------------------------------------------------------------------------------------------------

SHAPES = [
    ("/predict", {"error"}, lambda body: set(body["error"]) == {"code", "message", "details"}),
    ("/invocations", {"error_code", "message"}, lambda body: isinstance(body["message"], str)),
    ("/v2/models/iris/infer", {"error"}, lambda body: isinstance(body["error"], str)),
]


@pytest.mark.parametrize(("path", "keys", "shaped"), SHAPES)
def test_each_failure_has_the_shape_of_its_path(onnx_server, unloaded_server, path, keys, shaped):
    big = b'{"features": [' + b"1," * 20_000 + b"1]}"
    failures = {
        "not loaded": (503, unloaded_server.post(path, {"features": ROW})),
        "bad JSON": (400, onnx_server.post(path, b'{"features": [5.1')),
        "no body": (400, onnx_server.post(path, b"")),
        "Infinity": (400, onnx_server.post(path, b'{"inputs": [[Infinity, 1, 1, 1]]}')),
        "media type": (415, onnx_server.post(path, b"<a/>", headers={"content-type": "application/xml"})),
        "compressed": (415, onnx_server.post(path, b"x", headers={"content-encoding": "br"})),
        "too large": (413, onnx_server.post(path, big)),
        "method": (405, onnx_server.get(path)),
        "invalid": (400, onnx_server.post(path, {"inputs": [["a"]]})),
    }
    for name, (status, reply) in failures.items():
        assert (name, reply.status) == (name, status)
        assert reply.headers["content-type"] == "application/json"
        assert (name, set(reply.json)) == (name, keys)
        assert shaped(reply.json)


def test_a_refused_model_is_told_with_its_reason_and_the_version_it_would_be(unloaded_server):
    reply = unloaded_server.post("/predict", {"features": ROW})
    assert reply.json["error"]["code"] == "MODEL_NOT_READY"
    assert reply.json["error"]["message"].startswith("PickleRefused: ")
    assert reply.headers["x-model-version"] == "9"
    assert reply.headers["connection"] == "close", "a kept-alive client comes back where somebody can answer"
    assert unloaded_server.get("/livez").status == 200
    assert unloaded_server.get("/v2/health/live").status == 200
    for path in ("/v2/health/ready", "/v2/models/iris/ready", "/model/info", "/health"):
        assert unloaded_server.get(path).status == 503
    body = unloaded_server.readyz()
    assert (body.status, set(body.json)) == (503, {"ready", "reason", "permanent", "message"})
    assert body.json["permanent"] is True


@pytest.mark.parametrize("path", ["/v2/models/other/infer", "/v2/models/iris/versions/4/infer"])
def test_another_model_or_version_is_404_in_v2s_shape(onnx_server, path):
    reply = onnx_server.post(path, infer_body())
    assert (reply.status, set(reply.json)) == (404, {"error"})


@pytest.mark.parametrize("path", ["/v2/models/iris/versions/4", "/v2/models/other/ready", "/v2/nope", "/nope", "/v1"])
def test_an_unknown_path_is_404(onnx_server, path):
    reply = onnx_server.get(path)
    assert reply.status == 404
    assert "error" in reply.json


def test_a_refusal_names_the_column_and_never_the_data(sklearn_server):
    row = model_dirs.IRIS_ROW | {"sw": "secret-value"}
    error = sklearn_server.post("/predict", {"features": row}).json["error"]
    assert error["details"] == [{"field": "sw", "message": "row 0: expected double, got string"}]
    unknown = sklearn_server.post("/predict", model_dirs.IRIS_ROW | {"secret-name": 1})
    assert unknown.status == 400
    assert b"secret" not in unknown.body
    assert "secret" not in str(sklearn_server.log)


@pytest.mark.parametrize(("path", "keys", "shaped"), SHAPES)
async def test_a_mistake_of_ours_has_the_shape_of_its_path_too_and_the_log_no_data(
    tmp_path, monkeypatch, caplog, path, keys, shaped
):
    state = State(server_settings(model=tmp_path))
    counts, predictor = Counts(), Predictor(1, state.config)
    reloader = Reloader(state, Source(state.config), ThreadPoolExecutor())
    whole = Whole(state, counts, predictor, lambda: 0)
    app = prediction_app(state, counts, Paths(handlers(state, counts, predictor)), reloader, whole)

    def broken(*_):
        raise KeyError("secret-value")

    monkeypatch.setattr("headgate_server.about.loaded", broken)
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.request", "body": b"{}", "more_body": False}

    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
    await app(scope | {"headers": [], "http_version": "1.1", "scheme": "http", "root_path": ""}, receive, send)
    predictor.stop()
    start, body = sent[0], json.loads(sent[1]["body"])
    assert (start["status"], set(body)) == (500, keys)
    assert shaped(body)
    assert (state.in_flight, dict(counts.errors)) == (0, {"internal": 1})
    assert "secret" not in caplog.text + str(sent)


# -- headers --------------------------------------------------------------------------------------------------


def test_every_answer_carries_version_and_request_id(onnx_server):
    for path in ("/readyz", "/livez", "/metrics", "/counters", "/nope", "/health", "/v2"):
        headers = onnx_server.get(path).headers
        assert headers["x-model-version"] == "3"
        assert headers["x-request-id"]


def test_a_request_id_is_echoed_where_it_is_harmless_and_made_where_not(onnx_server):
    assert onnx_server.request("GET", "/livez", headers={"x-request-id": "a-1.b"}).headers["x-request-id"] == "a-1.b"
    assert onnx_server.request("GET", "/livez", headers={"x-request-id": "<a b>"}).headers["x-request-id"] != "<a b>"


def test_the_operations_port_answers_operations_only(onnx_server):
    for path in ("/livez", "/readyz", "/metrics", "/counters"):
        assert onnx_server.request("GET", path, port=onnx_server.ops_port).status == 200
        assert onnx_server.request("HEAD", path, port=onnx_server.ops_port).status == 200
    assert onnx_server.request("POST", "/predict", {"features": ROW}, port=onnx_server.ops_port).status == 404
