"""/openapi.json: every path of the prediction port with the schemas of the model at hand.

Written by hand, for the handlers read raw bodies: a test holds the list of paths against the routes, and schemathesis
holds the answers of a running server against the schemas.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from headgate_server import __version__, json_schema
from headgate_server.json_schema import Schema
from headgate_server.loading import Loaded
from headgate_server.protocols import v2
from headgate_server.protocols.table import V2_MODEL

JSON: Final = "application/json"
ANY: Final[Schema] = {}
OBJECT: Final[Schema] = {"type": "object"}
TEXT: Final[Schema] = {"type": "string"}
NUMBER_OR_NULL: Final[Schema] = {"type": ["number", "null"]}  # null where the model says NaN or an infinity
BYTES: Final[Schema] = {"type": "string", "format": "binary"}


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items, "minItems": 1}


def _optional(schema: Schema, **more: Schema) -> Schema:
    return schema | {"properties": schema["properties"] | more}


FAILURES: Final[Mapping[str, Schema]] = {
    "error": _object(error=TEXT),
    "mlflow": _object(error_code=TEXT, message=TEXT),
    "ours": _object(error=_object(code=TEXT, message=TEXT, details={"type": "array", "items": OBJECT})),
}
BODY_FAILURES: Final = (400, 408, 413, 415, 429, 500, 503, 504)
REASONS: Final = {
    401: "The admin key is missing",
    403: "The admin key is wrong, or the server has none",
    409: "The other version cannot be served; the old one still is",
    400: "The body is not what it should be, or does not fit the signature",
    404: "Another model or version, or nothing, is here",
    408: "The body did not come in time",
    413: "The body is too long",
    415: "The media type or encoding is not understood",
    429: "Too many requests wait; see Retry-After",
    500: "The model failed",
    503: "The model is not ready",
    504: "The prediction took too long",
}
TENSOR: Final = _optional(
    _object(name=TEXT, datatype={"enum": list(v2.KINDS)}, shape={"type": "array", "items": {"type": "integer"}}),
    parameters=OBJECT,
    data={"type": "array"},
)
PREDICTION: Final = _optional(_object(prediction=ANY), class_name=TEXT, probability=NUMBER_OR_NULL)
TOLD: Final = {"model": TEXT, "version": TEXT, "request_id": TEXT, "latency_ms": {"type": "number"}}
READY: Final = _object(ready={"type": "boolean"})


def document(loaded: Loaded | None) -> dict[str, Any]:
    """The whole document; before a model is loaded its input is any object."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Headgate inference server", "version": __version__},
        "paths": _predicting(loaded) | _v2(loaded) | _about() | _operations(),
    }


def _predicting(loaded: Loaded | None) -> dict[str, Any]:
    record, row = _input(loaded)
    instances = {"anyOf": [_list(record), _list(row)]}
    # A record that has a field called "features" would be ambiguous; everyone else may send it bare.
    one = {"anyOf": [_object(features=row), _object(features=record), record]}
    many = _object(instances=instances)
    first, several = (
        _post("Predict one row", one, _optional(_object(**TOLD), **PREDICTION["properties"])),
        _post("Predict several rows", many, _object(predictions=_list(PREDICTION), **TOLD)),
    )
    invocations = _post("MLflow's scoring protocol", _mlflow(record, row), _object(predictions=ANY), "mlflow")
    invocations["post"]["requestBody"]["content"]["text/csv"] = {"schema": TEXT}
    v1 = _post("KServe V1", many, _object(predictions=ANY), "error", named=True)
    return {
        "/predict": first,
        "/api/predict": first,
        "/predict/batch": several,
        "/api/predict/batch": several,
        "/invocations": invocations,
        "/v1/models/{model}:predict": v1 | _parameters(loaded, "model"),
        "/v1/models": _get("The model here", _object(models=_list(TEXT)), 503, shape="error"),
        "/v1/models/{model}": _get("Whether it is ready", _object(name=TEXT, ready={"type": "boolean"}), 404, 503,
                                   shape="error") | _parameters(loaded, "model"),
    }  # fmt: skip


def _v2(loaded: Loaded | None) -> dict[str, Any]:
    asked = _object(inputs=_list(TENSOR)) | {}
    body = _optional(asked, id=TEXT, parameters=OBJECT, outputs={"type": "array", "items": _object(name=TEXT)})
    outputs = _object(model_name=TEXT, model_version=TEXT, outputs={"type": "array", "items": TENSOR})
    infer = _post("Open Inference Protocol V2", body, outputs, "error", named=True)
    infer["post"]["requestBody"]["content"]["application/octet-stream"] = {"schema": BYTES}
    infer["post"]["responses"]["200"]["content"]["application/octet-stream"] = {"schema": BYTES}
    tensors = {"type": "array", "items": TENSOR}
    metadata = _object(name=TEXT, versions=_list(TEXT), platform=TEXT, inputs=tensors, outputs=tensors)
    server = _get("Server metadata", _object(name=TEXT, version=TEXT, extensions={"type": "array", "items": TEXT}))
    paths: dict[str, Any] = {
        "/v2": server,
        "/v2/": server,
        "/v2/health/live": _get("Liveness", _object(live={"type": "boolean"})),
        "/v2/health/ready": _get("Readiness", READY, 503, shape="error"),
        "/v2/models": _get("The model here", _object(models=_list(TEXT)), 503, shape="error"),
    }
    for prefix, names in zip(V2_MODEL, (("model",), ("model", "version")), strict=True):
        named = _parameters(loaded, *names)
        paths[prefix] = _get("Model metadata", metadata, 404, 503, shape="error") | named
        paths[f"{prefix}/ready"] = _get("Model readiness", READY, 404, 503, shape="error") | named
        paths[f"{prefix}/infer"] = infer | named
    return paths


def _about() -> dict[str, Any]:
    info = _get("What is served", _object(name=TEXT, version=TEXT, digest=TEXT, flavor=TEXT), 503)
    health = _get("Health", _object(status=TEXT, model_loaded={"type": "boolean"}))
    health["get"]["responses"]["503"] = health["get"]["responses"]["200"]
    reloaded = _object(reloaded={"type": "boolean"}, model=TEXT, version=TEXT, digest=TEXT)
    reload = {
        "post": {
            "summary": "Serve what the alias or stage names by now (admin key)",
            "responses": _ok({JSON: {"schema": reloaded}}) | _failed((401, 403, 409, 503), "ours"),
        }
    }
    log = _get(
        "The last log lines, newest first (admin key, or loopback)", _object(logs={"type": "array"}), 400, 401, 403
    )
    log["get"]["parameters"] = [{"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 0}}]
    page = {"text/html": {"schema": TEXT}}
    plain = {"text/plain": {"schema": TEXT}}
    return {
        "/": _get("Alive, and the paths", _object(status=TEXT, endpoints=_list(TEXT))),
        **dict.fromkeys(("/model/info", "/info", "/model-info", "/api/model/info"), info),
        **dict.fromkeys(("/model/reload", "/api/model/reload"), reload),
        "/model/schema": _get("The input as JSON Schema", _object(record=OBJECT, inputs=_list(OBJECT)), 503),
        "/metadata": _get("Model, deployment and settings", _object(model=OBJECT, deployment=OBJECT, config=OBJECT)),
        **dict.fromkeys(("/health", "/healthz"), health),
        "/logs": log,
        "/drift-status": _get("Drift against a reference", _object(status=TEXT)),
        "/ping": _get("MLflow's readiness", ANY, 503, shape="mlflow"),
        "/version": {"get": {"summary": "The server's version", "responses": _ok(plain)}},
        "/docs": {"get": {"summary": "This document as a page", "responses": _ok(page)}},
        "/openapi.json": _get("This document", OBJECT),
    }


def _operations() -> dict[str, Any]:
    plain = {"text/plain": {"schema": TEXT}}
    alive = {"200": {"description": "Alive", "content": plain}, "503": {"description": "Hangs", "content": plain}}
    ready = _get("Readiness with its reason", READY)
    ready["get"]["responses"]["503"] = ready["get"]["responses"]["200"]
    metrics = {"get": {"summary": "Metrics for Prometheus", "responses": _ok(plain)}}
    return {
        "/livez": _and_head({"get": {"summary": "Liveness", "responses": alive}}),
        **dict.fromkeys(("/readyz", "/ready"), _and_head(ready)),
        **dict.fromkeys(("/metrics", "/metrics-prometheus"), _and_head(metrics)),
        "/counters": _and_head(_get("The same numbers for the operator", _object(start_id=TEXT))),
    }


def _input(loaded: Loaded | None) -> tuple[Schema, Schema]:
    if loaded is None:
        return OBJECT, {"type": "array"}
    return json_schema.record(loaded.model.inputs, loaded.validator.rules), json_schema.row(
        loaded.model.inputs, loaded.validator.rules
    )


def _mlflow(record: Schema, row: Schema) -> Schema:
    split = _optional(_object(data=_list({"type": "array"})), columns=_list(TEXT), index={"type": "array"})
    columns = {"type": "object", "additionalProperties": _list(ANY)}
    forms = {
        "dataframe_split": split,
        "dataframe_records": _list(record),
        "instances": {"anyOf": [_list(record), _list(row)]},
        "inputs": {"anyOf": [_list(record), _list(row), columns]},
    }
    return {"oneOf": [_optional(_object(**{name: form}), params=OBJECT) for name, form in forms.items()]}


def _post(summary: str, body: Schema, answer: Schema, shape: str = "ours", *, named: bool = False) -> dict[str, Any]:
    codes = (*BODY_FAILURES, 404) if named else BODY_FAILURES
    responses = _ok({JSON: {"schema": answer}}) | _failed(codes, shape)
    request = {"required": True, "content": {JSON: {"schema": body}}}
    return {"post": {"summary": summary, "requestBody": request, "responses": responses}}


def _get(summary: str, answer: Schema, *failures: int, shape: str = "ours") -> dict[str, Any]:
    responses = _ok({JSON: {"schema": answer}}) | _failed(failures, shape)
    return {"get": {"summary": summary, "responses": responses}}


def _and_head(item: Mapping[str, Any]) -> dict[str, Any]:
    codes = {code: {"description": answer["description"]} for code, answer in item["get"]["responses"].items()}
    return {**item, "head": {"summary": item["get"]["summary"], "responses": codes}}


def _ok(content: Mapping[str, Any]) -> dict[str, Any]:
    return {"200": {"description": "The answer", "content": dict(content)}}


def _failed(codes: Sequence[int], shape: str) -> dict[str, Any]:
    content = {JSON: {"schema": FAILURES[shape]}}
    return {str(code): {"description": REASONS[code], "content": content} for code in sorted(codes)}


def _parameters(loaded: Loaded | None, *names: str) -> dict[str, Any]:
    """The path's parameters, each with the one value that is served."""
    known = {} if loaded is None else {"model": loaded.name, "version": loaded.version}
    return {
        "parameters": [
            {"name": n, "in": "path", "required": True, "schema": TEXT | ({"enum": [known[n]]} if known else {})}
            for n in names
        ]
    }
