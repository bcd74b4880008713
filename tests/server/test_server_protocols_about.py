"""What is not a prediction: V1's and V2's lists, metadata, schema, the page, and one document of all paths."""

import json

import jsonschema_rs
import pytest

import model_dirs
from asgi_client import AsgiClient
from headgate_server import openapi

ROW = [5.1, 3.5, 1.4, 0.2]


@pytest.fixture(scope="module")
def iris(tmp_path_factory):
    path = model_dirs.onnx_iris(tmp_path_factory.mktemp("onnx") / "model", metadata={"class_names": ["s", "ve", "vi"]})
    with AsgiClient(path, version="3", git_commit="abc123") as client:
        yield client


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    path = model_dirs.mixed(tmp_path_factory.mktemp("mixed") / "model", rules={"age": {"min": 0}})
    with AsgiClient(path, name="mixed") as client:
        yield client


async def get(client, path):
    reply = await client.request("GET", path)
    assert reply.status == 200
    return reply.json


# -- V1 and batches -------------------------------------------------------------------------------------------


async def test_v1_lists_the_model_and_predicts(iris, mixed):
    assert await get(iris, "/v1/models") == {"models": ["iris"]}
    assert await get(iris, "/v1/models/iris") == {"name": "iris", "ready": True}
    row = {"age": 20, "income": 1.5, "city": "a", "vip": True}
    reply = await mixed.request("POST", "/v1/models/mixed:predict", {"instances": [row, row | {"age": 50}]})
    assert (reply.status, len(reply.json["predictions"]), reply.headers["x-model-version"]) == (200, 2, "1")


async def test_v1_answers_an_object_a_row_where_the_model_has_several_outputs(iris):
    reply = await iris.request("POST", "/v1/models/iris:predict", {"instances": model_dirs.IRIS_ROWS})
    predictions = reply.json["predictions"]
    assert [p["label"] for p in predictions] == [0, 2]
    assert predictions[1]["probabilities"][2] == pytest.approx(0.961011, abs=1e-5)


@pytest.mark.parametrize("body", [{}, [], {"instances": []}, {"instances": 1}, {"instances": [[1]]}, {"inputs": [ROW]}])
async def test_v1_refuses_in_its_own_shape(iris, body):
    reply = await iris.request("POST", "/v1/models/iris:predict", body)
    assert (reply.status, set(reply.json)) == (400, {"error"})
    assert isinstance(reply.json["error"], str)


async def test_v1_knows_no_other_model(iris):
    for method, path in (("GET", "/v1/models/other"), ("POST", "/v1/models/other:predict")):
        reply = await iris.request(method, path, {"instances": [ROW]} if method == "POST" else None)
        assert (reply.status, reply.json) == (404, {"error": "the model here is iris"})


@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_a_batch_answers_a_prediction_a_row(iris, prefix):
    reply = await iris.request("POST", f"{prefix}/predict/batch", {"instances": model_dirs.IRIS_ROWS})
    assert [(p["prediction"], p["class_name"]) for p in reply.json["predictions"]] == [(0, "s"), (2, "vi")]
    assert reply.json["predictions"][1]["probability"] == pytest.approx(0.961011, abs=1e-5)
    assert (reply.json["model"], reply.json["version"]) == ("iris", "3")
    assert reply.json["request_id"] == reply.headers["x-request-id"]
    one = await iris.request("POST", f"{prefix}/predict", {"features": ROW})
    assert (one.json["prediction"], one.json["class_name"]) == (0, "s")


# -- about ----------------------------------------------------------------------------------------------------


async def test_facts_have_the_names_of_the_specification(iris):
    assert (await get(iris, "/"))["status"] == "alive"
    info = await get(iris, "/model/info")
    assert info["version"] == "3"
    for alias in ("/info", "/model-info", "/api/model/info"):
        assert await get(iris, alias) == info
    assert (await get(iris, "/healthz"))["status"] == "healthy"
    assert (await get(iris, "/ready"))["ready"] is True
    assert await get(iris, "/drift-status") == {"status": "no_reference"}
    assert await get(iris, "/v2/models") == {"models": ["iris"]}
    assert (await iris.request("GET", "/metrics-prometheus")).headers["content-type"].startswith("text/plain")


async def test_metadata_tells_model_deployment_and_settings_without_secrets(tmp_path, iris):
    told = await get(iris, "/metadata")
    assert told["model"]["name"] == "iris"
    assert set(told["deployment"]) == {"git_commit", "api_version", "timestamp"}
    assert told["deployment"]["git_commit"] == "abc123"
    assert told["config"]["validation"] == "Strict"
    path = model_dirs.onnx_iris(tmp_path / "model")
    secret = {"registry_uri": "http://user:hidden@mlflow:5000", "registry_credentials": "/secret/place"}
    with AsgiClient(path, **secret) as client:
        reply = await client.request("GET", "/metadata")
    assert reply.json["config"]["registry_uri"] == "http://mlflow:5000"
    assert reply.json["config"]["registry_credentials"] == "set"
    assert b"hidden" not in reply.body


async def test_schema_says_what_a_row_is_with_its_rules(mixed):
    told = await get(mixed, "/model/schema")
    assert told["record"]["properties"]["age"] == {"type": "integer", "minimum": 0, "maximum": 2**63 - 1}
    assert told["record"]["required"] == ["age", "income", "city"]
    assert told["params"] == [{"name": "threshold", "type": "double"}]
    assert [i["name"] for i in told["inputs"]] == ["age", "income", "city", "vip"]


# -- the document ---------------------------------------------------------------------------------------------


def endpoints(routes):
    """(path, method) of every route, those of included routers too."""
    for route in routes:
        if included := getattr(route, "original_router", None):
            yield from endpoints(included.routes)
        else:
            yield from ((route.path, method) for method in route.methods)


async def test_every_path_stands_in_the_document_and_none_beside(iris):
    routed = set(endpoints(iris.app._app._app.routes))
    paths = (await get(iris, "/openapi.json"))["paths"]
    written = {(path, method.upper()) for path, item in paths.items() for method in item if method != "parameters"}
    assert written == routed
    assert set((await get(iris, "/"))["endpoints"]) == set(paths)


async def test_the_document_says_what_strict_takes(iris, mixed):
    row = {"age": 20, "income": 1.5, "city": "a", "vip": True}
    given = {"/predict": [row, {"features": row}, {"features": list(row.values())}], "/predict/batch": [
        {"instances": [row]}], "/invocations": [{"inputs": [row]}]}  # fmt: skip
    paths = (await get(mixed, "/openapi.json"))["paths"]
    for path, bodies in given.items():
        schema = paths[path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        for body in bodies:
            assert jsonschema_rs.is_valid(schema, body)
            assert (await mixed.request("POST", path, body)).status == 200
        for wrong in (row | {"age": "x"}, row | {"more": 1}, row | {"age": -1}):
            broken = json.loads(json.dumps(bodies[-1]).replace(json.dumps(row), json.dumps(wrong)))
            if broken != bodies[-1]:
                assert not jsonschema_rs.is_valid(schema, broken)


async def test_the_page_lists_the_paths_and_fetches_nothing_from_elsewhere(iris):
    reply = await iris.request("GET", "/docs")
    assert reply.headers["content-type"].startswith("text/html")
    assert b"/v2/models/{model}/infer" in reply.body
    assert b"http://" not in reply.body
    assert b"https://" not in reply.body


def test_the_document_is_there_before_a_model_is():
    assert openapi.document(None)["paths"]["/predict"]["post"]["responses"]["503"]
