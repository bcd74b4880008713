"""Bodies in protobuf, as `kubectl create secret` sends them."""

from __future__ import annotations

from api_world import ApiWorld

PATH = "/api/v1/namespaces/default/secrets"
PROTOBUF = "application/vnd.kubernetes.protobuf"


def field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2, len(content)]) + content


def secret(name: str, key: str, value: bytes) -> bytes:
    about = field(1, b"v1") + field(2, b"Secret")
    entry = field(1, key.encode()) + field(2, value)
    obj = field(1, field(1, name.encode())) + field(2, entry) + field(3, b"Opaque")
    return b"k8s\x00" + field(1, about) + field(2, obj)


def test_a_secret_in_protobuf_is_stored_like_one_in_json() -> None:
    answer = ApiWorld().send("POST", PATH, secret("typed", "password", b"hunter2"), content_type=PROTOBUF)
    assert (answer.status, answer.body["metadata"]["name"]) == (201, "typed")
    assert (answer.body["data"], answer.body["type"]) == ({"password": "aHVudGVyMg=="}, "Opaque")


def test_a_cut_body_is_a_bad_request() -> None:
    answer = ApiWorld().send("POST", PATH, b"k8s\x00\xff", content_type=PROTOBUF)
    assert (answer.status, answer.body["reason"]) == (400, "BadRequest")


def test_a_custom_kind_has_no_protobuf_form() -> None:
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    assert ApiWorld().send("POST", path, b"not-protobuf", content_type=PROTOBUF).status == 400
