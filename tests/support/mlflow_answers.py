"""What an MLflow registry holds, and the JSON that it answers with: shapes as measured on a real server."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Version:
    """One registered version, as `model-versions/get` tells it."""

    name: str
    version: int
    source: str
    created: int
    model_id: str
    run_id: str = ""
    stage: str = "None"
    tags: dict[str, str] = field(default_factory=dict)
    status: str = "READY"


@dataclass
class Model:
    """A registered model: its versions live as long as it does, and so does its numbering."""

    name: str
    versions: dict[int, Version] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    next_version: int = 1


@dataclass(frozen=True)
class Answer:
    """What goes back: `cut` is the number of body bytes really sent (the rest is lost on the way)."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    chunked: bool = False


class ApiRefusal(Exception):  # noqa: N818 - an answer, not a failure of this program
    """An API error in MLflow's own shape."""

    def __init__(self, status: int, error_code: str, message: str) -> None:
        super().__init__(message)
        self.answer = as_json({"error_code": error_code, "message": message, "sqlstate": "KAM00"}, status=status)


def as_json(body: Mapping[str, Any], status: int = 200) -> Answer:
    return Answer(status, json.dumps(body).encode())


def as_text(status: int, text: str, **headers: str) -> Answer:
    return Answer(
        status, text.encode(), "text/plain; charset=utf-8", {k.replace("_", "-"): v for k, v in headers.items()}
    )


def json_object(body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    try:
        parsed = json.loads(body)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def names_of(filter_text: str) -> set[str] | None:
    """The model names a filter asks for: `name='a'` or `name IN ('a', 'b')`; None = all."""
    if found := re.search(r"name\s+IN\s*\(([^)]*)\)", filter_text, re.IGNORECASE):
        return {name.replace("''", "'") for name in re.findall(r"'((?:[^']|'')*)'", found[1])}
    if found := re.search(r"\bname\s*=\s*(?:'((?:[^']|'')*)'|\"([^\"]*)\")", filter_text):
        return {found[2] if found[2] is not None else found[1].replace("''", "'")}
    return None


def page_of(key: str, items: list[Any], query: Mapping[str, Any], *, default: int, most: int) -> dict[str, Any]:
    size = int(query.get("max_results") or default)
    if size > most:
        raise ApiRefusal(400, "INVALID_PARAMETER_VALUE", f"Invalid value {size} for parameter 'max_results' supplied.")
    start = int(query.get("page_token") or 0)
    page = items[start : start + size]
    body: dict[str, Any] = {key: page} if page else {}
    if start + size < len(items):
        body["next_page_token"] = str(start + size)
    return body


def pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]


def version_json(version: Version, model: Model | None) -> dict[str, Any]:
    """`model` None = an answer that carries no aliases (searches and latest_versions never do)."""
    body: dict[str, Any] = {
        "name": version.name,
        "version": str(version.version),
        "creation_timestamp": version.created,
        "last_updated_timestamp": version.created,
        "current_stage": version.stage,
        "description": "",
        "source": version.source,
        "run_id": version.run_id,
        "status": version.status,
        "run_link": "",
    }
    if version.tags:
        body["tags"] = pairs(version.tags)
    if model is not None and (aliases := sorted(a for a, n in model.aliases.items() if n == version.version)):
        body["aliases"] = aliases
    return body
