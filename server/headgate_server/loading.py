"""From a model directory to a model that may answer: described, loaded, warmed, its golden prediction checked.

Blocking work, for a thread. Runtimes are imported here and only for the flavor at hand: an ONNX model never pays
for scikit-learn, nor the other way round.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from headgate_server import logs, mlmodel, rules
from headgate_server.loaders import memory, threads
from headgate_server.loaders.runtime import Model, Output
from headgate_server.mlmodel import Description
from headgate_server.pace import Pace, measured
from headgate_server.protocols import invocations, missing
from headgate_server.reasons import LoadError, Reason
from headgate_server.registry.source import Located
from headgate_server.settings import Golden, Settings, Validation
from headgate_server.signature import Column, Columns, Inputs, kinds
from headgate_server.validation import Batch, InvalidInput, Validator

EXTRAS: Final = ("xgboost", "lightgbm")
BOOSTERS: Final = {"", "lightgbm.basic.Booster"}
MAX_EXAMPLE_BYTES: Final = 64 << 20
MAX_MADE_UP: Final = 1 << 24


@dataclass(frozen=True)
class Loaded:
    """A model that may answer."""

    located: Located
    described: Description
    model: Model
    validator: Validator
    golden: str  # "passed", "none" or "disabled"
    loaded_at: float
    load_seconds: float
    pace: Pace = field(default_factory=Pace)

    @property
    def version(self) -> str:
        return self.located.version

    @property
    def name(self) -> str:
        return self.located.name

    @cached_property  # asked at every answer
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, by the model's own labels or by `class_names` in its metadata."""
        given = self.described.metadata.get("class_names")
        if isinstance(given, list) and all(isinstance(name, str) for name in given):
            return tuple(given)
        return tuple(str(c) for c in self.model.classes) if all(isinstance(c, str) for c in self.model.classes) else ()


def load(located: Located, config: Settings, warming: Callable[[], None]) -> Loaded:
    """Load and prove the model; LoadError says why not. `warming` is called when only the proof is left."""
    began = time.perf_counter()
    described = mlmodel.read(located.path)
    model = _runtime(described, config)
    logs.event("loaded", flavor=described.flavor, runtime=model.runtime, seconds=_since(began))
    warming()
    validator = Validator(
        model.inputs,
        lenient=config.validation is Validation.COMPATIBLE,
        rules=rules.read(located.path, kinds(model.inputs)),
        params=described.signature.params,
    )
    with memory.bounded():
        golden = _prove(described, model, validator, config.golden)
        pace = measured(model) if _made_up_size(model.inputs) <= MAX_MADE_UP else Pace()
    logs.event("warmed", golden=golden, seconds=_since(began), inline=pace.inline, mergeable=pace.mergeable)
    return Loaded(located, described, model, validator, golden, time.time(), _since(began), pace)


def _runtime(described: Description, config: Settings) -> Model:
    try:
        match described.flavor:
            case "onnx":
                from headgate_server.loaders import onnx_runtime

                with memory.bounded():
                    return onnx_runtime.load(described, threads.of_worker(config))
            case "xgboost":
                from headgate_server.loaders import xgboost_native

                with memory.bounded():
                    return xgboost_native.load(described, threads.of_worker(config))
            # LightGBM's models in scikit-learn's style are skops files or pickles, and go the way of those.
            case "lightgbm" if mlmodel.text(described.flavor_fields.get("model_class")) in BOOSTERS:
                from headgate_server.loaders import lightgbm_native

                with memory.bounded():
                    return lightgbm_native.load(described, threads.of_worker(config))
            case _:
                from headgate_server.loaders import skops_sklearn

                with memory.bounded():
                    return skops_sklearn.load(
                        described,
                        config.requirements,
                        trust_pickle=config.trust_pickle,
                        trust_types=config.trust_types,
                    )
    except ImportError as error:
        # A runtime may be left out of an image, and those of boosted trees are extras.
        extra = f": install headgate[{described.flavor}]" if described.flavor in EXTRAS else ""
        message = f"{described.flavor} models need the package {error.name}, which this image does not have{extra}"
        raise LoadError(Reason.UNSUPPORTED_FLAVOR, message) from None


def _prove(described: Description, model: Model, validator: Validator, policy: Golden) -> str:
    if policy is Golden.DISABLED or described.example is None:
        _warm(model, validator.inputs)
        return "disabled" if policy is Golden.DISABLED else "none"
    try:
        batch = invocations.batch(_example(described.example), validator)
        outputs = model.run(batch, model.default_outputs)
    except InvalidInput as wrong:
        raise LoadError(Reason.GOLDEN_FAILED, f"the input example does not fit the signature: {wrong}") from None
    except LoadError:
        raise
    except Exception as error:  # noqa: BLE001 - a model may raise anything
        if memory.lacked(error):
            raise memory.lacking("the first prediction") from None
        raise LoadError(Reason.GOLDEN_FAILED, f"the input example does not predict: {type(error).__name__}") from None
    if not all(_finite(output.values) for output in outputs):
        raise LoadError(Reason.GOLDEN_FAILED, "the prediction of the input example is not finite")
    return "passed"


def _example(path: Path) -> Any:
    if path.stat().st_size > MAX_EXAMPLE_BYTES:
        raise LoadError(Reason.ARTIFACT_INVALID, "the input example is larger than any real one")
    try:
        return missing.loads(path.read_bytes())
    except orjson.JSONDecodeError:
        raise LoadError(Reason.ARTIFACT_INVALID, "the input example is not JSON") from None


def _finite(values: Any) -> bool:
    match values:
        case np.ndarray():
            return bool(np.isfinite(values).all()) if values.dtype.kind == "f" else True
        case dict():
            return all(_finite(v) for v in values.values())
        case list() | tuple():
            return all(_finite(v) for v in values)
        case float():
            return math.isfinite(values)
        case _:
            return True


def _warm(model: Model, inputs: Inputs) -> None:
    """The first call is the slow one; its result says nothing, for the row is made up."""
    if _made_up_size(inputs) > MAX_MADE_UP:
        logs.warning("no warm-up: one row of the signature is larger than any real one")
        return
    try:
        outputs: list[Output] = model.run(made_up(inputs), model.default_outputs)
        del outputs
    except Exception as error:  # noqa: BLE001 - a model may refuse a made-up row
        if memory.lacked(error):
            raise memory.lacking("the first prediction") from None
        logs.warning("the warm-up on a made-up row failed", error=type(error).__name__)


def _made_up_size(inputs: Inputs) -> int:
    if isinstance(inputs, Columns):
        return len(inputs.columns)
    return sum(math.prod(1 if d == -1 else d for d in tensor.shape) for tensor in inputs.tensors)


def made_up(inputs: Inputs) -> Batch:
    """One row of zeros, empty texts and epochs, as the signature wants it."""
    validator = Validator(inputs)
    if isinstance(inputs, Columns):
        return validator.records([{c.name: _zero(c) for c in inputs.columns}])
    flat = {}
    for tensor in inputs.tensors:
        shape = tuple(1 if d == -1 else d for d in tensor.shape)
        zero: Any = {"bool": False, "str": "", "object": ""}.get(tensor.dtype, 0)
        flat[tensor.name] = ([zero] * math.prod(shape), shape)
    return validator.named(flat)


def _zero(column: Column) -> Any:
    return {"boolean": False, "string": "", "binary": "", "datetime": "1970-01-01T00:00:00"}.get(column.type, 0)


def _since(began: float) -> float:
    return round(time.perf_counter() - began, 3)
