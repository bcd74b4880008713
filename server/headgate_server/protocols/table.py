"""Every path that predicts: which protocol reads it, which media it takes, and how metrics call it."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from headgate_server.protocols import invocations, simple, v1, v2
from headgate_server.protocols.call import BINARY, CSV, Reader
from headgate_server.protocols.failures import JSON


@dataclass(frozen=True)
class Endpoint:
    """`paths` may hold {model} and {version}, which must be those of the loaded model."""

    group: str
    paths: tuple[str, ...]
    read: Reader
    media: frozenset[str] = frozenset({JSON})
    type_required: bool = False  # elsewhere a body without Content-Type is JSON


V2_MODEL: Final = ("/v2/models/{model}", "/v2/models/{model}/versions/{version}")

PREDICTING: Final = (
    Endpoint("predict", ("/predict", "/api/predict"), simple.read),
    Endpoint("predict", ("/predict/batch", "/api/predict/batch"), simple.read_many),
    Endpoint("invocations", ("/invocations",), invocations.read, frozenset({JSON, CSV}), type_required=True),
    Endpoint("v2_infer", tuple(f"{prefix}/infer" for prefix in V2_MODEL), v2.read, frozenset({JSON, BINARY})),
    Endpoint("v1_predict", ("/v1/models/{model}:predict",), v1.read),
)


def pattern(path: str) -> re.Pattern[str]:
    """`{name}` stands for a part without a slash, as it does for FastAPI."""
    parts = re.split(r"{(\w+)}", path)
    return re.compile("".join(f"(?P<{part}>[^/]+)" if n % 2 else re.escape(part) for n, part in enumerate(parts)))


_GROUPS: Final = [(pattern(path), endpoint.group) for endpoint in PREDICTING for path in endpoint.paths]


@lru_cache(maxsize=256)  # paths are few; names that clients make up shall not fill the memory
def group_of(path: str) -> str:
    """What metrics call it. What does not predict is "other": the operator sees no evidence in that."""
    return next((group for known, group in _GROUPS if known.fullmatch(path)), "other")
