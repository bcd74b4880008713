"""Reading request bodies: JSON or YAML; protobuf is refused so that clients fall back to JSON."""

from __future__ import annotations

import json
from typing import Any

import yaml

from headgate_local.api import protobuf
from headgate_local.api.request import Request
from headgate_local.errors import bad_request, unsupported_media_type
from headgate_local.schema import builtin_schema

PROTOBUF = "application/vnd.kubernetes.protobuf"
OBJECT_TYPES = ("application/json", "application/yaml", PROTOBUF)


class _Loader(yaml.SafeLoader):
    """YAML as JSON has it: a date stays text."""


_Loader.yaml_implicit_resolvers = {
    mark: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:timestamp"]
    for mark, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_yaml(body: bytes) -> Any:
    try:
        # Most "YAML" on the wire is JSON, which is read some fifty times faster as such.
        return json.loads(body)
    except ValueError:
        pass
    try:
        return yaml.load(body, Loader=_Loader)  # noqa: S506 - a subclass of the safe loader
    except yaml.YAMLError as error:
        raise bad_request(f"error converting YAML to JSON: {error}") from error


def read_json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise bad_request(f"couldn't get version/kind; json parse error: {error}") from error


def read_typed(request: Request, message: str) -> dict[str, Any]:
    """The body of a request for something that is no stored object, in JSON or protobuf, by its message's name."""
    if request.media_type != PROTOBUF:
        return read_object(request.media_type, request.body) if request.body.strip() else {}
    return protobuf.read_message(message, builtin_schema(message.replace("k8s.io.", "io.k8s.", 1)), request.body)


def read_object(media_type: str, body: bytes) -> dict[str, Any]:
    if media_type in ("", "application/json"):
        found = read_json(body)
    elif media_type == "application/yaml":
        found = read_yaml(body)
    else:
        raise unsupported_media_type(media_type, OBJECT_TYPES)
    if not isinstance(found, dict):
        raise bad_request("couldn't get version/kind; json parse error: the body is not an object")
    return found
