"""JSON as MLflow writes it: a missing number is `NaN`, which JSON does not have.

MLflow writes so the input example of every frame with a gap, and its server reads it. Here it is read as null, which
means the same. Infinity stays what it is: no JSON.
"""

import re
from typing import Any, Final

import orjson

# A text, cut off or not, is gone over in one step: a body of quotes would be looked at from each of them otherwise.
TEXT_OR_NAN: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"?|\bNaN\b', re.DOTALL)
NAN: Final = ord("N")


def loads(text: bytes) -> Any:
    """orjson's, with NaN for null; orjson.JSONDecodeError."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        if b"NaN" not in text:
            raise
    # Not `sub`, which keeps every text as an object of its own until the end: 70 times the body.
    read, at = bytearray(), 0
    for found in TEXT_OR_NAN.finditer(text):
        if text[found.start()] == NAN:
            read += text[at : found.start()]
            read += b"null"
            at = found.end()
    read += text[at:]
    return orjson.loads(read)
