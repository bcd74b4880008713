"""What is loaded only because the settings say so: pickle files, and types beyond the server's own list."""

from typing import Any

import cloudpickle
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.preprocessing import FunctionTransformer

import model_dirs
from headgate_server import settings
from headgate_server.loading import Loaded
from headgate_server.reasons import Reason
from model_loading import loaded, refused
from server_settings import server_settings

FILES = {"pickle": "model.pkl", "cloudpickle": "model.pkl"}


def labels(model: Loaded) -> list[Any]:
    [output] = model.model.run(model.validator.positional(model_dirs.IRIS_ROWS), ["predict"])
    return list(output.values)


@pytest.mark.parametrize("serialization", ["pickle", "cloudpickle"])
def test_a_pickle_is_loaded_only_where_it_is_trusted(tmp_path, serialization):
    path = model_dirs.pickled(tmp_path, model_dirs.iris_estimator(), serialization=serialization)
    error = refused(path)
    assert error.reason is Reason.PICKLE_REFUSED
    assert "HEADGATE_TRUST_PICKLE" in error.message
    model = loaded(path, trust_pickle="true")
    assert (labels(model), model.model.platform) == ([0, 2], "sklearn_pickle")


def test_a_function_within_a_trusted_cloudpickle_comes_back(tmp_path):
    path = model_dirs.pickled(tmp_path, None)
    step = FunctionTransformer(lambda rows: rows * 1.0).fit([[0.0] * 4])
    step.predict = lambda rows: rows[:, 0]
    (path / "model.pkl").write_bytes(cloudpickle.dumps(step))
    assert labels(loaded(path, trust_pickle="true")) == [5.1, 6.7]


def test_a_trusted_pickle_that_needs_what_is_not_here_names_it(tmp_path):
    path = model_dirs.pickled(tmp_path, None)
    (path / "model.pkl").write_bytes(b"cno_such_module\nThing\n.")
    error = refused(path, trust_pickle="true")
    assert (error.reason, "no_such_module" in error.message) == (Reason.UNSUPPORTED_FLAVOR, True)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x80\x05]", b"(lp0\n."])
def test_a_trusted_pickle_that_is_none_is_invalid(tmp_path, content):
    path = model_dirs.pickled(tmp_path, None)
    (path / "model.pkl").write_bytes(content)
    assert refused(path, trust_pickle="true").reason is Reason.ARTIFACT_INVALID


def test_trust_in_pickle_is_no_trust_in_types_of_skops(tmp_path):
    model = HistGradientBoostingClassifier(max_iter=2).fit([[0.0], [1.0]] * 20, [0, 1] * 20)
    path = model_dirs.save_estimator(tmp_path, model)
    assert refused(path, trust_pickle="true").reason is Reason.UNTRUSTED_TYPES


def test_types_that_the_settings_name_are_trusted_and_no_others(tmp_path):
    model = HistGradientBoostingClassifier(max_iter=2).fit([[0.0] * 4, [1.0] * 4] * 20, [0, 1] * 20)
    path = model_dirs.save_estimator(tmp_path, model)
    named = refused(path).message.replace(" ", "").split(",")
    assert labels(loaded(path, trust_types=", ".join(named))) == [1, 1]
    for missing in named:
        error = refused(path, trust_types=",".join(set(named) - {missing}) or "a.B")
        assert (error.reason, error.message) == (Reason.UNTRUSTED_TYPES, missing)


@pytest.mark.parametrize("value", ["no-type", "os.system;evil", "sklearn.*", "Tree", "a..b"])
def test_a_name_that_is_no_type_is_refused_at_start(value):
    with pytest.raises(settings.SettingsError, match="trust-types"):
        server_settings(trust_types=value)


@pytest.mark.parametrize("value", ["yes", "1", "perhaps"])
def test_trust_is_true_or_false_and_nothing_that_looks_like_it(value):
    with pytest.raises(settings.SettingsError, match="trust-pickle"):
        server_settings(trust_pickle=value)
