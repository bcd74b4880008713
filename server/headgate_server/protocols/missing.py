"""JSON as MLflow writes it: a missing number is `NaN`, which JSON does not have.

MLflow writes so the input example of every frame with a gap, and its server reads it. Here it is read as null, which
means the same. Infinity stays what it is: no JSON.
"""

import re
from typing import Any, Final

import orjson

# A text, cut off or not, is gone over in one step: a body of quotes would be looked at from each of them otherwise.
TEXT_OR_NAN: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"?|\bNaN\b', re.DOTALL)


def loads(text: bytes) -> Any:
    """orjson's, with NaN for null; orjson.JSONDecodeError."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        if b"NaN" not in text:
            raise
    return orjson.loads(TEXT_OR_NAN.sub(lambda found: b"null" if found[0] == b"NaN" else found[0], text))
