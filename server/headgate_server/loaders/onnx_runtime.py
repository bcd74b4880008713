"""ONNX models by onnxruntime on the CPU: the providers of the MLmodel are the trainer's machine, not ours.

External data is read only from inside the model directory; a graph that names a file elsewhere is refused before
the runtime opens anything.
"""

import os
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

# The released onnxruntime tells its maker about models and machine, and writes an id of the machine into the home
# folder. It reads this once, when it is loaded; its own disable_telemetry_events() comes after the first report.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

from headgate_server.loaders import memory, onnx_files
from headgate_server.loaders.runtime import Output, OutputSpec
from headgate_server.mlmodel import Description
from headgate_server.reasons import LoadError, Reason
from headgate_server.signature import Columns, Inputs, Tensor, Tensors
from headgate_server.validation import Array, Batch

FATAL: Final = 4
LOOPS: Final = frozenset({"Loop", "Scan", "If"})  # their time hangs on values
DTYPES: Final = {
    "tensor(bool)": "bool",
    "tensor(int8)": "int8",
    "tensor(int16)": "int16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(uint8)": "uint8",
    "tensor(uint16)": "uint16",
    "tensor(uint32)": "uint32",
    "tensor(uint64)": "uint64",
    "tensor(float16)": "float16",
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(string)": "str",
}


class OnnxModel:
    """An inference session."""

    platform = "onnx_onnxv1"
    classes: tuple[Any, ...] = ()

    def __init__(self, session: Any, described: Description, *, steady: bool = False) -> None:
        self._session = session
        self.steady = steady
        self.runtime = f"onnxruntime {onnxruntime.__version__}"
        self._graph = {node.name: _tensor(node) for node in session.get_inputs()}
        self.inputs: Inputs = _signature_inputs(described, self._graph)
        self._feed = _feeder(self.inputs, self._graph)
        self.outputs = [_output(node) for node in session.get_outputs()]
        self.default_outputs = tuple(spec.name for spec in self.outputs)
        self.label_output = next((o.name for o in self.outputs if len(o.shape) == 1), self.default_outputs[0])
        rest = [o for o in self.outputs if o.name != self.label_output]
        # What skl2onnx and its like add to a label: a float matrix with a column a class.
        wide = (o.name for o in rest if len(o.shape) == 2 and o.datatype in {"FP32", "FP64"})
        self.probability_output = next(wide, "")

    def run(self, batch: Batch, wanted: Sequence[str]) -> list[Output]:
        names = list(wanted)
        results = self._session.run(names, self._feed(batch))
        return [Output(name, result) for name, result in zip(names, results, strict=True)]


def load(described: Description, threads: int) -> OnnxModel:
    """The session of the model directory, or the reason why it is not served."""
    path = described.file(described.flavor_fields.get("data"), "flavors.onnx.data")
    onnx_files.check(path, described.root)
    steady = not (onnx_files.operators(path) & LOOPS)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # The runtime writes a failing node's message, data included, to stderr by itself; it raises the same anyway.
    options.log_severity_level = FATAL
    onnxruntime.set_default_logger_severity(FATAL)
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001
        if memory.lacked(error):
            raise memory.lacking(path.name) from None
        # onnxruntime has an exception class a failure and no common one; its text names files and nodes, no data.
        text = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
        broken = type(error).__name__ in {"InvalidProtobuf", "NoSuchFile"}
        reason = Reason.ARTIFACT_INVALID if broken else Reason.LOAD_FAILED
        raise LoadError(reason, text.replace(str(described.root), "")) from None
    return OnnxModel(session, described, steady=steady)


def _tensor(node: Any) -> Tensor:
    if node.type not in DTYPES:
        raise LoadError(Reason.UNSUPPORTED_FLAVOR, f"graph input {node.name}: {node.type} is not served")
    return Tensor(node.name, DTYPES[node.type], _shape(node))


def _shape(node: Any) -> tuple[int, ...]:
    return tuple(d if isinstance(d, int) and d > 0 else -1 for d in node.shape)


def _output(node: Any) -> OutputSpec:
    from headgate_server.signature import TENSOR_TYPES

    # A sequence of maps (ZipMap) has no V2 type; it still answers in JSON.
    return OutputSpec(node.name, TENSOR_TYPES.get(DTYPES.get(node.type, ""), "BYTES"), _shape(node))


def _signature_inputs(described: Description, graph: dict[str, Tensor]) -> Inputs:
    given = described.signature.inputs
    if given is None:
        return Tensors(tuple(graph.values()))
    if isinstance(given, Tensors) and len(given.tensors) == 1 and not given.tensors[0].named and len(graph) == 1:
        # MLflow's unnamed tensor: V2 knows it by the graph's own name.
        return Tensors((Tensor(next(iter(graph)), given.tensors[0].dtype, given.tensors[0].shape, named=False),))
    return given


def _feeder(inputs: Inputs, graph: dict[str, Tensor]) -> Any:
    """How validated arrays become the graph's inputs, decided once."""
    names = inputs.names if isinstance(inputs, Columns) else tuple(t.name for t in inputs.tensors)
    if set(names) == set(graph):
        dtypes = {name: _numpy(graph[name].dtype) for name in names}
        if isinstance(inputs, Tensors):
            return lambda batch: {n: np.ascontiguousarray(a, dtypes[n]) for n, a in batch.arrays.items()}
        two = {name: len(graph[name].shape) == 2 for name in names}
        return lambda batch: {
            n: a.astype(dtypes[n], copy=False).reshape((-1, 1) if two[n] else (-1,)) for n, a in batch.arrays.items()
        }
    if isinstance(inputs, Columns) and len(graph) == 1:
        return _stacked(inputs, next(iter(graph.values())))
    raise LoadError(
        Reason.ARTIFACT_INVALID, f"the signature has the inputs {', '.join(names)}, the graph {', '.join(graph)}"
    )


def _stacked(inputs: Columns, tensor: Tensor) -> Any:
    """Columns side by side, for a graph with one matrix: what MLflow itself cannot feed."""
    width = len(inputs.names)
    if len(tensor.shape) != 2 or tensor.shape[1] not in (-1, width):
        raise LoadError(
            Reason.ARTIFACT_INVALID, f"the signature has {width} columns, the graph's input is {list(tensor.shape)}"
        )
    name, dtype = tensor.name, _numpy(tensor.dtype)

    def feed(batch: Batch) -> dict[str, Array]:
        matrix: Array = np.empty((batch.rows, width), dtype=dtype)
        for n, array in enumerate(batch.arrays.values()):
            matrix[:, n] = array
        return {name: matrix}

    return feed


def _numpy(dtype: str) -> Any:
    return np.dtype(object if dtype == "str" else dtype)
