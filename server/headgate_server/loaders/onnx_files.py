"""Which files an ONNX graph names beside itself, read from the protobuf without the onnx package.

A tensor may lie in another file, by a path that the uploader chose. The runtime's own check of that path differs
between versions, so the file is scanned first and only plain names inside the model directory pass.

Only the fields on the way to a tensor's `external_data` are followed:
model.graph(7) .functions(25) .training_info(20); graph.node(1) .initializer(5) .sparse_initializer(15);
node.attribute(5), function.node(7) .attribute(11);
attribute.t(5) .g(6) .tensors(10) .graphs(11) .sparse_tensor(22) .sparse_tensors(23);
sparse.values(1) .indices(2); training.initialization(1) .algorithm(2); tensor.external_data(13) {key(1), value(2)}.
"""

from collections.abc import Iterator, Mapping
from mmap import ACCESS_READ, mmap
from pathlib import Path, PurePosixPath
from typing import Final

from headgate_server.reasons import LoadError, Reason

MAX_DEPTH: Final = 64
FOLLOWED: Final[Mapping[str, Mapping[int, str]]] = {
    "model": {7: "graph", 25: "function", 20: "training"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}


def check(path: Path, root: Path) -> None:
    """Refuse a graph with external data outside of its own folder, and one whose data is not there."""
    folder = path.parent
    if not path.stat().st_size:
        raise LoadError(Reason.ARTIFACT_INVALID, "the ONNX file is empty")
    locations = sorted(set(external_files(_mapped(path))))
    for location in locations:
        pure = PurePosixPath(location)
        target = (folder / location).resolve()
        if pure.is_absolute() or ".." in pure.parts or not target.is_relative_to(root.resolve()):
            raise LoadError(Reason.ARTIFACT_INVALID, "the graph names external data outside the model directory")
        if not target.is_file():
            raise LoadError(Reason.ARTIFACT_MISSING, "the graph names external data that is not there")


def operators(path: Path) -> set[str]:
    """The operators of the graph and of the model's functions; those of a loop's body are left out."""
    return set(_operators(_mapped(path)))


def _mapped(path: Path) -> memoryview:
    """The file's bytes, until nobody holds a part of them: a mapping that is closed while an error's frames do raises
    BufferError in the place of what is wrong with the file."""
    with path.open("rb") as file:
        return memoryview(mmap(file.fileno(), 0, access=ACCESS_READ))


def _operators(model: memoryview) -> Iterator[str]:
    for graph in _named(model, 7):
        yield from map(_operator, _named(graph, 1))
    for function in _named(model, 25):
        yield from map(_operator, _named(function, 7))


def _operator(node: memoryview) -> str:
    return next((bytes(name).decode("utf-8", "replace") for name in _named(node, 4)), "")


def _named(message: memoryview, number: int) -> Iterator[memoryview]:
    return (content for field, content in _fields(message) if field == number and content is not None)


def external_files(model: memoryview) -> Iterator[str]:
    """The `location` of every external tensor."""
    try:
        yield from _walk(model, "model", 0)
    except (IndexError, ValueError):
        raise LoadError(Reason.ARTIFACT_INVALID, "the ONNX file is not a protobuf") from None


def _walk(message: memoryview, kind: str, depth: int) -> Iterator[str]:
    if depth > MAX_DEPTH:
        raise LoadError(Reason.ARTIFACT_INVALID, "the graph is nested deeper than any real one")
    if kind == "entry":
        yield from _location(message)
        return
    follow = FOLLOWED[kind]
    for number, content in _fields(message):
        if content is not None and number in follow:
            yield from _walk(content, follow[number], depth + 1)


def _location(entry: memoryview) -> Iterator[str]:
    texts = {number: bytes(content).decode("utf-8") for number, content in _fields(entry) if content is not None}
    if texts.get(1) == "location":
        yield texts.get(2, "")


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | None]]:
    """(field number, content of a length-delimited field or None)."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        content = None
        match tag & 7:
            case 0:
                _, at = _varint(message, at)
            case 1:
                at += 8
            case 5:
                at += 4
            case 2:
                length, at = _varint(message, at)
                if at + length > len(message):
                    raise ValueError("a field longer than its message")
                content, at = message[at : at + length], at + length
            case _:
                raise ValueError("an unknown wire type")
        yield tag >> 3, content


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number longer than 64 bits")
