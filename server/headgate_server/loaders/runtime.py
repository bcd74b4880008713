"""What every loader gives back: something that turns validated arrays into named outputs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from headgate_server.signature import Inputs
from headgate_server.validation import Batch


class Output(NamedTuple):
    """A named result: an array, or a list where the runtime gives no array."""

    name: str
    values: Any


@dataclass(frozen=True)
class OutputSpec:
    """What V2 metadata says of an output."""

    name: str
    datatype: str
    shape: tuple[int, ...]


class Model(Protocol):
    """A loaded model. `run` is called in a worker thread, several at once."""

    platform: str  # V2 metadata
    runtime: str  # library and version, for people
    steady: bool  # how long a row takes does not hang on its values
    inputs: Inputs  # the signature's, or what the model itself says
    outputs: list[OutputSpec]
    default_outputs: tuple[str, ...]  # what an answer holds when nothing is asked for
    classes: tuple[Any, ...]  # labels of a classifier, where the model knows them
    label_output: str  # what /predict calls the prediction
    probability_output: str  # one probability a class, or empty

    def run(self, batch: Batch, wanted: Sequence[str]) -> list[Output]: ...
