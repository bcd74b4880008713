"""Requests to every path that predicts, good ones and bad ones, and what of an answer can be compared."""

from typing import Any

from server_process import Reply

ROW = [5.1, 3.5, 1.4, 0.2]
INFER: dict[str, Any] = {"inputs": [{"name": "X", "shape": [1, 4], "datatype": "FP32", "data": ROW}]}
ASKED: list[tuple[str, Any]] = [
    ("/predict", {"features": ROW}),
    ("/api/predict", {"features": ROW}),
    ("/predict/batch", {"instances": [ROW, ROW]}),
    ("/invocations", {"inputs": [ROW]}),
    ("/v1/models/iris:predict", {"instances": [ROW]}),
    ("/v2/models/iris/infer", INFER),
    ("/v2/models/iris/versions/1/infer", INFER),
    ("/v2/models/iris/versions/2/infer", INFER),
    ("/v2/models/other/infer", INFER),
    ("/v2/models/a/b/infer", INFER),
    ("/predict", b"{"),
    ("/invocations", {"inputs": [ROW], "instances": []}),
    ("/predict", {"features": ["a"]}),
    ("/v2/models/iris/infer", {}),
]


def plain(reply: Reply) -> tuple[int, dict[str, str], Any]:
    """What does not change from one request to the next."""
    body = reply.json
    for changing in ("request_id", "latency_ms"):
        if isinstance(body, dict):
            body.pop(changing, None)
    headers = {name: value for name, value in reply.headers.items() if name not in {"x-request-id", "content-length"}}
    return reply.status, headers, body
