"""Universal Binary JSON, as far as XGBoost writes it: read here, because its own reader trusts the file's lengths."""

import struct
from typing import Any, Final

import numpy as np

NUMBERS: Final = {"i": ">i1", "U": ">u1", "I": ">i2", "l": ">i4", "L": ">i8", "d": ">f4", "D": ">f8"}
MAX_DEPTH: Final = 32


def loads(content: bytes) -> Any:
    """The document; ValueError where it is none."""
    reader = _Reader(content)
    try:
        return reader.value(reader.take(1).decode("latin-1"), 0)
    except (struct.error, UnicodeDecodeError, KeyError, RecursionError) as error:
        raise ValueError(f"not UBJSON: {type(error).__name__}") from None


class _Reader:
    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def take(self, count: int) -> bytes:
        if not 0 <= count <= len(self._content) - self._at:
            raise ValueError("not UBJSON: longer than its file")
        self._at += count
        return self._content[self._at - count : self._at]

    def value(self, kind: str, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise ValueError("not UBJSON: too deep")
        match kind:
            case "{":
                return self._object(depth)
            case "[":
                return self._array(depth)
            case "S":
                return self.take(self._count()).decode("utf-8")
            case "Z":
                return None
            case "T" | "F":
                return kind == "T"
            case _:
                return self._numbers(kind, 1)[0]

    def _kind(self) -> str:
        return self.take(1).decode("latin-1")

    def _count(self) -> int:
        count = self.value(self._kind(), MAX_DEPTH)
        if type(count) is not int or count < 0:
            raise ValueError("not UBJSON: a length that is none")
        return count

    def _numbers(self, kind: str, count: int) -> list[Any]:
        dtype = np.dtype(NUMBERS[kind])
        numbers: list[Any] = np.frombuffer(self.take(dtype.itemsize * count), dtype).tolist()
        return numbers

    def _object(self, depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        while self._kind() != "}":
            self._at -= 1
            name = self.take(self._count()).decode("utf-8")
            made[name] = self.value(self._kind(), depth + 1)
        return made

    def _array(self, depth: int) -> list[Any]:
        kind = self._kind()
        if kind == "$":
            of = self._kind()
            if self._kind() != "#":
                raise ValueError("not UBJSON: a typed array without a length")
            return self._numbers(of, self._count())
        if kind == "#":
            count = self._count()
            # Each element has a byte at least.
            if count > len(self._content) - self._at:
                raise ValueError("not UBJSON: longer than its file")
            return [self.value(self._kind(), depth + 1) for _ in range(count)]
        made = []
        while kind != "]":
            made.append(self.value(kind, depth + 1))
            kind = self._kind()
        return made
