"""What every protocol makes of a request, in one shape: validated input, wanted outputs, and how to say the answer.

A reader takes bytes and gives a Call. It touches no socket and no model, so it may run in a thread, and whoever runs
the model (alone, merged with others, inline or not) needs to know nothing of protocols.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from headgate_server.loaders.runtime import Output
from headgate_server.protocols.failures import JSON, RequestFailed
from headgate_server.validation import Batch

if TYPE_CHECKING:
    from headgate_server.loading import Loaded

CSV: Final = "text/csv"
BINARY: Final = "application/octet-stream"
NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class Content(NamedTuple):
    """A request body as it came, inflated, with what its headers say of it."""

    raw: bytes
    media: str = JSON
    json_bytes: int | None = None  # where binary tensors follow: how much of it is JSON
    max_rows: int = 1 << 40  # for a form whose rows are cheap to send and dear to keep

    def json(self, loads: Callable[[bytes], Any] = orjson.loads) -> Any:
        """The body as JSON, or 400 with the place where it is none."""
        text = self.raw if self.json_bytes is None else self.raw[: self.json_bytes]
        try:
            return loads(text)
        except orjson.JSONDecodeError as error:
            where = f"the body is not JSON (line {error.lineno}, column {error.colno})"
            raise RequestFailed(400, "bad_json", where if text else "the body is empty") from None


class Facts(NamedTuple):
    """What an answer may say of its request."""

    request_id: str
    began: float  # by time.perf_counter

    @property
    def latency_ms(self) -> float:
        """So far."""
        return round((time.perf_counter() - self.began) * 1000, 3)


class Reply(NamedTuple):
    body: bytes
    media: str = JSON
    headers: Mapping[str, str] = NO_HEADERS


class Call(NamedTuple):
    """A prediction to make."""

    batch: Batch
    wanted: Sequence[str]
    answer: Callable[[Sequence[Output], Facts], Reply]


Reader = Callable[[Content, "Loaded"], Call]
