"""Running servers, one a module: most tests only ask them something."""

import pytest

import model_dirs
from server_process import ServerProcess


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The directory of an ONNX model with a tensor signature."""
    return model_dirs.onnx_iris(tmp_path_factory.mktemp("model") / "iris")


@pytest.fixture(scope="module")
def server(model):
    """Patient with requests, and with a body limit as it comes."""
    with ServerProcess(model=model, timeout=20) as server:
        yield server.wait_ready()


@pytest.fixture(scope="module")
def onnx_server(tmp_path_factory):
    """An ONNX model with a tensor signature, called `iris`, version 3."""
    path = model_dirs.onnx_iris(tmp_path_factory.mktemp("onnx") / "model", metadata={"class_names": ["s", "ve", "vi"]})
    settings = {"model_name": "iris", "model_version": "3", "revision": "0123456789", "max_body_bytes": 20_000}
    with ServerProcess(model=path, **settings) as server:
        yield server.wait_ready()


@pytest.fixture(scope="module")
def sklearn_server(tmp_path_factory):
    """A scikit-learn model with a column signature, called `iris lr`, version 1."""
    path = model_dirs.iris(tmp_path_factory.mktemp("sklearn") / "model")
    with ServerProcess(model=path, model_name="iris lr", model_version="1") as server:
        yield server.wait_ready()


@pytest.fixture(scope="module")
def unloaded_server(tmp_path_factory):
    """A server whose model is refused for good."""
    path = model_dirs.pickled(tmp_path_factory.mktemp("pickle") / "model", {"no": "model"})
    with ServerProcess(model=path, model_name="iris", model_version="9") as server:
        server.wait_for_reason("PickleRefused")
        yield server
