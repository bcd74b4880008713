"""What a soak asks: each protocol, sizes from a row to a refused body, mistakes, and clients that mean harm."""

import gzip
import json
import struct
from dataclasses import dataclass

from hostile import MIB, request

ROW = [5.1, 3.5, 1.4, 0.2]
CLOSE = "connection: close"
INFER = "/v2/models/iris/infer"


@dataclass(frozen=True)
class Kind:
    """Bytes to send, and the statuses that may come of it: 429 wherever a large body may find no room."""

    name: str
    sent: bytes
    answers: frozenset[str]
    weight: float
    busy: bool = True  # False = it waits for the server to lose patience


def kinds() -> list[Kind]:
    return [*_good(), *_wrong(), *_hostile()]


def _good() -> list[Kind]:
    rows = [ROW] * 100
    many = [ROW] * 5000
    floats = struct.pack("<4f", *ROW)
    head = json.dumps({"inputs": [_tensor(1, parameters={"binary_data_size": 16})]}).encode()
    binary = ("content-type: application/octet-stream", f"inference-header-content-length: {len(head)}", CLOSE)
    lines = "\r\n".join((f"POST {INFER} HTTP/1.1", "host: x", *binary, f"content-length: {len(head) + 16}", "", ""))
    packed = gzip.compress(json.dumps({"instances": rows}).encode())
    made = [
        ("predict", _json({"features": ROW}), 40),
        ("predict batch", _json({"instances": rows}, "/predict/batch"), 5),
        ("predict batch of 5,000", _json({"instances": many}, "/predict/batch"), 0.5),
        ("invocations", _json({"inputs": rows}, "/invocations"), 5),
        ("invocations, CSV", _csv(b"a,b,c,d\n" + b"5.1,3.5,1.4,0.2\n" * 100), 5),
        ("v1", _json({"instances": rows}, "/v1/models/iris:predict"), 5),
        ("v1, gzip", request(packed, "content-encoding: gzip", CLOSE, path="/v1/models/iris:predict"), 5),
        ("v2", _json({"id": "a", "inputs": [_tensor(1, data=ROW)]}, INFER), 10),
        ("v2 of 1 MB", _json({"inputs": [_tensor(5000, data=ROW * 5000)], "x": "a" * MIB}, INFER), 0.5),
        ("v2, binary", lines.encode() + head + floats, 5),
        *((path, _get(path), 1) for path in ("/livez", "/metrics", "/counters", "/model/info", "/openapi.json")),
    ]
    return [
        Kind(name, sent, frozenset({"200", "429"} if weight == 0.5 else {"200"}), weight) for name, sent, weight in made
    ]


def _wrong() -> list[Kind]:
    return [
        Kind("no JSON", request(b"{", CLOSE), frozenset({"400"}), 3),
        Kind("wrong values", _json({"features": ["a", None, [], {}]}), frozenset({"400"}), 3),
        Kind("unknown columns", _json({f"k{n}": n for n in range(1000)}), frozenset({"400"}), 1),
        Kind("another model", _json({"inputs": []}, "/v2/models/other/infer"), frozenset({"404"}), 2),
        Kind("no path", _get("/nothing"), frozenset({"404"}), 2),
        Kind("no media", request(b"{}", "content-encoding: br", CLOSE), frozenset({"415"}), 1),
        Kind("too many rows", _json({"instances": [ROW] * 10_001}, "/predict/batch"), frozenset({"413", "429"}), 0.5),
    ]


def _hostile() -> list[Kind]:
    chunked = request(b'4\r\n{"a"\r\n', "transfer-encoding: chunked", length=-1)
    lists, fewer = (b'{"inputs":[' + b"[]," * times + b"0]}" for times in (2 * MIB, 40_000))
    return [
        Kind("a body of 16 MiB", request(b" " * 16 * MIB, CLOSE), frozenset({"413", "429"}), 0.2),
        Kind("many lists", request(fewer, CLOSE, path="/invocations"), frozenset({"400", "429"}), 0.2),
        Kind("two million lists", request(lists, CLOSE, path="/invocations"), frozenset({"413", "429"}), 0.2),
        Kind(
            "a bomb", request(gzip.compress(b"[" * 64 * MIB), "content-encoding: gzip", CLOSE), frozenset({"413"}), 0.5
        ),
        Kind("a head of 1 MiB", b"GET / HTTP/1.1\r\nx: " + b"a" * MIB, frozenset({"431"}), 0.5),
        Kind("trailers", chunked + b"0\r\n" + b"x: y\r\n" * 50_000, frozenset({"431"}), 0.5),
        Kind("no HTTP", b"\x16\x03\x01" * 20, frozenset({"400"}), 1),
        Kind("requests ahead", b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n" * 2000, frozenset({"200"}), 0.5),
        Kind("half a head", b"GET / HTTP/1.1\r\nx: y", frozenset({"closed"}), 0.1, busy=False),
        Kind("half a body", request(b"{", CLOSE, length=9), frozenset({"408"}), 0.1, busy=False),
    ]


def _tensor(rows: int, **more: object) -> dict[str, object]:
    return {"name": "X", "shape": [rows, 4], "datatype": "FP32", **more}


def _json(body: object, path: str = "/predict") -> bytes:
    return request(json.dumps(body).encode(), CLOSE, path=path)


def _csv(body: bytes) -> bytes:
    return request(body, CLOSE, path="/invocations").replace(b"application/json", b"text/csv")


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: x\r\n{CLOSE}\r\n\r\n".encode()
