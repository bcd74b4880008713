"""A small MLflow registry over HTTP, in memory: what the operator and the server see of one, and its bad days.

It answers only the read calls that Headgate makes, with the shapes and error bodies measured on a real server
(`error_code` JSON for API errors, plain text for 401, 403 and the host check, `{}` for an empty listing).
Tests arrange models by methods and bad days by `fail(...)`; they look at `requests` for what was asked.
`FakeMlflow.answer` needs no socket; `with FakeMlflow() as registry` listens on a loopback port in a thread.
"""

import base64
import hashlib
import re
import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from mlflow_answers import (
    Answer,
    ApiRefusal,
    Model,
    Version,
    as_json,
    as_text,
    json_object,
    names_of,
    page_of,
    pairs,
    version_json,
)

API = "/api/2.0/mlflow/"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
HOST_REJECTED = "Invalid Host header - possible DNS rebinding attack detected"
FAULTS = frozenset({"400", "401", "403", "host", "500", "503", "html", "hang", "truncate", "reset", "empty"})


@dataclass(frozen=True)
class Fault:
    """How requests whose path and query contain `where` go wrong, for `times` of them (None = until healed)."""

    kind: str
    where: str = ""
    times: int | None = None


@dataclass(frozen=True)
class Asked:
    """One request that reached the registry."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]


class FakeMlflow:
    """The registry: arrange with the methods, then ask over HTTP or by `answer`."""

    def __init__(
        self,
        *,
        username: str = "",
        password: str = "",
        token: str = "",
        chunked: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.models: dict[str, Model] = {}
        self.files: dict[str, bytes] = {}  # by path below mlflow-artifacts:/
        self.runs: dict[str, str] = {}  # run id -> artifact uri
        self.requests: list[Asked] = []
        self.username, self.password, self.token = username, password, token
        self._tls = tls
        self.chunked = chunked  # as the proxy over an object store: no Content-Length on files
        self.artifact_root: str | None = None  # e.g. "s3://bucket": artifacts are not served by the proxy
        self.listed_sizes: dict[str, int] = {}  # file sizes the listing lies about, by path below mlflow-artifacts:/
        self.extra_listing: list[dict[str, Any]] = []  # hostile entries put into every listing
        self._faults: list[tuple[Fault, list[int]]] = []
        self._clock = 1_795_220_528_181
        self._lock = threading.RLock()
        self._released = threading.Event()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    # -- arranging --------------------------------------------------------------------------------------------

    def register(
        self,
        name: str,
        files: Path | Mapping[str, bytes] | None = None,
        *,
        aliases: Sequence[str] = (),
        tags: Mapping[str, str] | None = None,
        source: str | None = None,
        stage: str = "None",
        run_id: str = "",
    ) -> str:
        """Register the next version of `name` from a model directory (or a mapping of its files); the version."""
        with self._lock:
            model = self.models.setdefault(name, Model(name))
            number, model.next_version = model.next_version, model.next_version + 1
            self._clock += 1000
            model_id = f"m-{self._clock:032x}"
            version = Version(name, number, source or f"models:/{model_id}", self._clock, model_id, run_id, stage)
            version.tags.update(tags or {})
            model.versions[number] = version
            for alias in aliases:
                model.aliases[alias] = number
            for path, content in _files_of(files):
                self.files[f"{self.artifact_path(name, str(number))}/{path}"] = content
            return str(number)

    def artifact_path(self, name: str, version: str) -> str:
        """Where that version's files lie, below `mlflow-artifacts:/`."""
        return f"1/models/{self.models[name].versions[int(version)].model_id}/artifacts"

    def overwrite(self, name: str, version: str, path: str, content: bytes) -> None:
        """Change a file under a registered version: MLflow lets one do that."""
        self.files[f"{self.artifact_path(name, version)}/{path}"] = content

    def remove_file(self, name: str, version: str, path: str) -> None:
        del self.files[f"{self.artifact_path(name, version)}/{path}"]

    def set_alias(self, name: str, alias: str, version: str) -> None:
        self.models[name].aliases[alias] = int(version)

    def delete_alias(self, name: str, alias: str) -> None:
        self.models[name].aliases.pop(alias, None)

    def set_tag(self, name: str, version: str, key: str, value: str) -> None:
        self.models[name].versions[int(version)].tags[key] = value

    def set_stage(self, name: str, version: str, stage: str) -> None:
        self.models[name].versions[int(version)].stage = stage

    def set_status(self, name: str, version: str, status: str) -> None:
        self.models[name].versions[int(version)].status = status

    def delete_version(self, name: str, version: str) -> None:
        """The version goes, and its aliases silently with it; its number is never used again."""
        model = self.models[name]
        del model.versions[int(version)]
        model.aliases = {alias: number for alias, number in model.aliases.items() if number != int(version)}

    def delete_model(self, name: str) -> None:
        """The whole model goes: register it again and the numbering starts at 1."""
        del self.models[name]

    def fail(self, kind: str, where: str = "", times: int | None = None) -> None:
        """From now on requests containing `where` fail as `kind` (one of FAULTS), `times` times or until `heal()`."""
        if kind not in FAULTS:
            raise ValueError(f"unknown fault {kind}")
        self._released.clear()
        self._faults.append((Fault(kind, where, times), [0]))

    def heal(self) -> None:
        self._faults.clear()
        self._released.set()

    def asked(self, containing: str) -> list[Asked]:
        return [r for r in list(self.requests) if containing in r.path]

    # -- listening --------------------------------------------------------------------------------------------

    def start(self, port: int = 0) -> Self:
        """Listen on `port`: 0 = any free one. A registry that comes back needs the one it had."""
        registry = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                _serve(registry, self)

            do_POST = do_GET  # noqa: N815

            def log_message(self, *_: Any) -> None:
                """Tests read `requests`, not a log."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A client that went away in mid answer is no event here."""

        self._server = Server(("127.0.0.1", port), Handler)
        if self._tls is not None:
            # Each connection shakes hands in its own thread, or one that breaks off would hold all others.
            self._server.socket = self._tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="fake-mlflow", daemon=True
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        if self._server is not None and self._thread is not None:
            self._released.set()
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def port(self) -> int:
        if self._server is None:
            raise RuntimeError("the fake registry is not started")
        return int(self._server.server_address[1])

    @property
    def uri(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    # -- answering --------------------------------------------------------------------------------------------

    def answer(
        self, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer | None:
        """The answer to one request; None = the connection is reset or hangs until healed."""
        parts = urlsplit(target)
        query = {key: values[-1] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
        lower = {key.lower(): value for key, value in (headers or {}).items()}
        path = unquote(parts.path)
        with self._lock:
            self.requests.append(Asked(method, path, query, lower))
            fault = self._next_fault(unquote(target))
        if fault is not None and fault.kind not in {"truncate", "empty"}:
            return self._broken(fault)
        if (refused := self._unauthorized(path, lower)) is not None:
            return refused
        try:
            with self._lock:
                answer = self._route(path, query, body)
        except ApiRefusal as refusal:
            return refusal.answer
        if path.startswith(ARTIFACTS + "/") and not answer.chunked:
            answer = _ranged(answer, lower)
        if fault is not None and fault.kind == "truncate":
            return Answer(
                answer.status, answer.body, answer.content_type, answer.headers, len(answer.body) // 2, answer.chunked
            )
        if fault is not None:
            return as_json({})
        return answer

    def _next_fault(self, target: str) -> Fault | None:
        for fault, used in self._faults:
            if fault.where in target and (fault.times is None or used[0] < fault.times):
                used[0] += 1
                return fault
        return None

    def _broken(self, fault: Fault) -> Answer | None:
        match fault.kind:
            case "400":
                return as_json({"error_code": "INVALID_PARAMETER_VALUE", "message": "Invalid value."}, status=400)
            case "401":
                return as_text(401, "You are not authenticated.", WWW_Authenticate='Basic realm="mlflow"')
            case "403":
                return as_text(403, "Permission denied")
            case "host":
                return as_text(403, HOST_REJECTED)
            case "500":
                return as_json({"error_code": "INTERNAL_ERROR", "message": "Internal Server Error"}, status=500)
            case "503":
                return as_text(503, "upstream connect error")
            case "html":
                return Answer(200, b"<!doctype html><html><body>Sign in</body></html>", "text/html")
            case "hang":
                self._released.wait(120)
                return None
            case _:
                return None

    def _unauthorized(self, path: str, headers: Mapping[str, str]) -> Answer | None:
        if not (self.username or self.token) or path in {"/health", "/api/3.0/mlflow/server-info"}:
            return None
        accepted = set()
        if self.token:
            accepted.add(f"Bearer {self.token}")
        if self.username:
            accepted.add("Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode())
        if headers.get("authorization") in accepted:
            return None
        return as_text(401, "You are not authenticated.", WWW_Authenticate='Basic realm="mlflow"')

    def _route(self, path: str, query: Mapping[str, str], body: bytes) -> Answer:
        if path == "/health":
            return as_text(200, "OK")
        if path == "/api/3.0/mlflow/server-info":
            return as_json({"store_type": "SqlStore", "workspaces_enabled": False, "artifact_serving_enabled": True})
        if path == "/model-versions/get-artifact":
            version = self._version(query)
            return self._file(f"{self._root_of(version)}/{query.get('path', '')}", chunked=False)
        if path == ARTIFACTS:
            return as_json(self._listing(query.get("path", "")))
        if path.startswith(ARTIFACTS + "/"):
            return self._file(path.removeprefix(ARTIFACTS + "/"), chunked=self.chunked)
        if path.startswith(API):
            return self._api(path.removeprefix(API), {**query, **json_object(body)})
        return as_text(404, "Not Found")

    def _api(self, call: str, query: Mapping[str, Any]) -> Answer:
        match call:
            case "registered-models/get":
                return as_json({"registered_model": self._model_json(self._model(query))})
            case "registered-models/search":
                return as_json(self._search_models(query))
            case "registered-models/alias":
                model, alias = self._model(query), str(query.get("alias", ""))
                if alias not in model.aliases:
                    raise ApiRefusal(400, "INVALID_PARAMETER_VALUE", f"Registered model alias {alias} not found.")
                return as_json({"model_version": version_json(model.versions[model.aliases[alias]], model)})
            case "registered-models/get-latest-versions":
                return as_json(self._latest(query))
            case "model-versions/get":
                version = self._version(query)
                return as_json({"model_version": version_json(version, self.models[version.name])})
            case "model-versions/search":
                return as_json(self._search_versions(query))
            case "model-versions/get-download-uri":
                return as_json({"artifact_uri": self._download_uri(self._version(query))})
            case "runs/get":
                run = str(query.get("run_id", ""))
                if run not in self.runs:
                    raise ApiRefusal(404, "RESOURCE_DOES_NOT_EXIST", f"Run with id={run} not found")
                return as_json({"run": {"info": {"run_id": run, "artifact_uri": self.runs[run]}, "data": {}}})
            case _:
                return self._logged_model(call, query)

    def _logged_model(self, call: str, query: Mapping[str, Any]) -> Answer:
        found = re.fullmatch(r"logged-models/(m-[0-9a-f]+)(/artifacts/directories)?", call)
        if found is None:
            return as_text(404, "Not Found")
        root = f"1/models/{found[1]}/artifacts"
        if found[2] is None:
            info = {"model_id": found[1], "artifact_uri": f"mlflow-artifacts:/{root}", "status": "LOGGED_MODEL_READY"}
            return as_json({"model": {"info": info, "data": {}}})
        under = str(query.get("artifact_directory_path", ""))
        listed = self._listing(f"{root}/{under}".rstrip("/")).get("files", [])
        return as_json({"root_uri": root, "files": [{**f, "path": f"{under}/{f['path']}".lstrip("/")} for f in listed]})

    # -- looking up -------------------------------------------------------------------------------------------

    def _model(self, query: Mapping[str, Any]) -> Model:
        name = str(query.get("name", ""))
        if not name:
            raise ApiRefusal(400, "INVALID_PARAMETER_VALUE", "Missing value for required parameter 'name'.")
        if name not in self.models:
            raise ApiRefusal(404, "RESOURCE_DOES_NOT_EXIST", f"Registered Model with name={name} not found")
        return self.models[name]

    def _version(self, query: Mapping[str, Any]) -> Version:
        name, number = str(query.get("name", "")), str(query.get("version", ""))
        if not name or not number.isdigit():
            raise ApiRefusal(400, "INVALID_PARAMETER_VALUE", f"Parameter 'version' must be an integer, got '{number}'.")
        model = self.models.get(name)
        if model is None or int(number) not in model.versions:
            raise ApiRefusal(404, "RESOURCE_DOES_NOT_EXIST", f"Model Version (name={name}, version={number}) not found")
        return model.versions[int(number)]

    def _root_of(self, version: Version) -> str:
        return f"1/models/{version.model_id}/artifacts"

    def _download_uri(self, version: Version) -> str:
        if self.artifact_root is not None:
            return f"{self.artifact_root}/{self._root_of(version)}"
        if version.source.startswith("models:/m-"):
            return f"mlflow-artifacts:/{self._root_of(version)}"
        if match := re.fullmatch(r"models:/(.+)/([0-9]+)", version.source):
            return self._download_uri(self._version({"name": match[1], "version": match[2]}))
        return version.source

    def _model_json(self, model: Model) -> dict[str, Any]:
        newest: dict[str, Version] = {}
        for version in sorted(model.versions.values(), key=lambda v: v.version):
            newest[version.stage] = version
        body: dict[str, Any] = {
            "name": model.name,
            "creation_timestamp": 1,
            "last_updated_timestamp": 1,
            "description": "",
        }
        if newest:
            body["latest_versions"] = [version_json(v, None) for v in newest.values()]
        if model.aliases:
            body["aliases"] = [{"alias": a, "version": str(n)} for a, n in sorted(model.aliases.items())]
        if model.tags:
            body["tags"] = pairs(model.tags)
        return body

    def _search_models(self, query: Mapping[str, Any]) -> dict[str, Any]:
        wanted = names_of(str(query.get("filter", "")))
        found = [m for m in sorted(self.models.values(), key=lambda m: m.name) if wanted is None or m.name in wanted]
        return page_of("registered_models", [self._model_json(m) for m in found], query, default=100, most=1000)

    def _search_versions(self, query: Mapping[str, Any]) -> dict[str, Any]:
        text = str(query.get("filter", ""))
        if re.search(r"\b(stage|alias)\b\s*=", text):
            raise ApiRefusal(400, "INVALID_PARAMETER_VALUE", "Invalid attribute key specified.")
        wanted = names_of(text)
        tags = re.findall(r"tags\.(?:`([^`]+)`|([\w.]+))\s*=\s*'((?:[^']|'')*)'", text)
        found = [
            v
            for m in self.models.values()
            for v in m.versions.values()
            if (wanted is None or m.name in wanted) and all(v.tags.get(a or b) == c for a, b, c in tags)
        ]
        order = str(query.get("order_by", "last_updated_timestamp DESC"))
        found.sort(
            key=lambda v: v.version if order.startswith("version_number") else v.created, reverse="DESC" in order
        )
        return page_of("model_versions", [version_json(v, None) for v in found], query, default=10_000, most=200_000)

    def _latest(self, query: Mapping[str, Any]) -> dict[str, Any]:
        model = self._model(query)
        stages = query.get("stages") or []
        wanted = {s.lower() for s in ([stages] if isinstance(stages, str) else stages)}
        newest: dict[str, Version] = {}
        for version in sorted(model.versions.values(), key=lambda v: v.version):
            if not wanted or version.stage.lower() in wanted:
                newest[version.stage] = version
        return {"model_versions": [version_json(v, None) for v in newest.values()]} if newest else {}

    def _listing(self, path: str) -> dict[str, Any]:
        prefix = path.strip("/") + "/"
        entries: dict[str, dict[str, Any]] = {}
        for file, content in sorted(self.files.items()):
            if not file.startswith(prefix):
                continue
            head, _, rest = file.removeprefix(prefix).partition("/")
            size = self.listed_sizes.get(file, len(content))
            entries[head] = (
                {"path": head, "is_dir": True} if rest else {"path": head, "is_dir": False, "file_size": size}
            )
        listed = [*entries.values(), *self.extra_listing]
        return {"files": listed} if listed else {}  # a missing path is 200 with an empty object, as measured

    def _file(self, path: str, *, chunked: bool) -> Answer:
        if path not in self.files:
            if self.chunked:  # the proxy over an object store tells a missing file as its own failure
                raise ApiRefusal(500, "INTERNAL_ERROR", "An error occurred (404) when calling HeadObject")
            raise ApiRefusal(404, "RESOURCE_DOES_NOT_EXIST", "No such artifact")
        return Answer(200, self.files[path], "application/octet-stream", chunked=chunked)


def _ranged(answer: Answer, headers: Mapping[str, str]) -> Answer:
    """The proxy over a local disk names contents and answers a Range, the one over an object store does neither."""
    etag = '"' + hashlib.md5(answer.body).hexdigest() + '"'
    asked = re.fullmatch(r"bytes=(\d+)-", headers.get("range", ""))
    if asked is None or headers.get("if-range", etag) != etag:
        return replace(answer, headers={**answer.headers, "ETag": etag})
    start, length = int(asked[1]), len(answer.body)
    named = {"ETag": etag, "Content-Range": f"bytes {start}-{length - 1}/{length}"}
    return replace(answer, status=206, body=answer.body[start:], headers={**answer.headers, **named})


def _serve(registry: FakeMlflow, handler: BaseHTTPRequestHandler) -> None:
    length = int(handler.headers.get("content-length") or 0)
    answer = registry.answer(handler.command, handler.path, dict(handler.headers.items()), handler.rfile.read(length))
    if answer is None:
        handler.close_connection = True
        return
    handler.send_response(answer.status)
    handler.send_header("Content-Type", answer.content_type)
    for key, value in answer.headers.items():
        handler.send_header(key, value)
    sent = answer.body if answer.cut is None else answer.body[: answer.cut]
    if answer.chunked:
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write((f"{len(sent):x}\r\n".encode() + sent + b"\r\n" if sent else b"") + b"0\r\n\r\n")
        return
    handler.send_header("Content-Length", str(len(answer.body)))
    handler.end_headers()
    handler.wfile.write(sent)
    if answer.cut is not None:
        handler.close_connection = True


def _files_of(files: Path | Mapping[str, bytes] | None) -> Iterator[tuple[str, bytes]]:
    if isinstance(files, Path):
        for path in sorted(p for p in files.rglob("*") if p.is_file()):
            yield path.relative_to(files).as_posix(), path.read_bytes()
    elif files is not None:
        yield from files.items()
