"""Every path that predicts: which protocol reads it, which media it takes, and how metrics call it."""

from dataclasses import dataclass
from typing import Final

from headgate_server.protocols import invocations, simple, v1, v2
from headgate_server.protocols.call import BINARY, CSV, Reader
from headgate_server.protocols.failures import JSON


@dataclass(frozen=True)
class Endpoint:
    """`paths` may hold {model} and {version}, which must be those of the loaded model."""

    paths: tuple[str, ...]
    read: Reader
    media: frozenset[str] = frozenset({JSON})
    type_required: bool = False  # elsewhere a body without Content-Type is JSON


V2_MODEL: Final = ("/v2/models/{model}", "/v2/models/{model}/versions/{version}")

PREDICTING: Final = (
    Endpoint(("/predict", "/api/predict"), simple.read),
    Endpoint(("/predict/batch", "/api/predict/batch"), simple.read_many),
    Endpoint(("/invocations",), invocations.read, frozenset({JSON, CSV}), type_required=True),
    Endpoint(tuple(f"{prefix}/infer" for prefix in V2_MODEL), v2.read, frozenset({JSON, BINARY})),
    Endpoint(("/v1/models/{model}:predict",), v1.read),
)
