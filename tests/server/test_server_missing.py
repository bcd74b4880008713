"""NaN where MLflow writes it for a missing value: null, and never anything in a text."""

import json
import math
import warnings

import mlflow
import orjson
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.tree import DecisionTreeClassifier

from asgi_client import AsgiClient
from headgate_server.protocols import missing

LEAVES = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_infinity=False)
TEXTS = st.text() | st.sampled_from(["NaN", '"NaN', "\\\\NaN", 'a"NaN"', 'NaN\\"'])
VALUES = st.recursive(LEAVES | TEXTS, lambda of: st.lists(of) | st.dictionaries(TEXTS, of))


def gaps(value):
    match value:
        case float() if math.isnan(value):
            return None
        case list():
            return [gaps(one) for one in value]
        case dict():
            return {key: gaps(one) for key, one in value.items()}
    return value


@given(VALUES, st.booleans())
def test_whatever_python_writes_is_read_with_null_for_nan(value, escaped):
    text = json.dumps(value, ensure_ascii=escaped).encode()
    assert missing.loads(text) == gaps(value)


@given(st.lists(st.sampled_from(['"', "\\", "NaN", "null", "[", "]", "{", "}", ",", ":", "1", "-", "a", " ", "\n"])))
def test_what_is_wrong_beside_it_is_no_json(parts):
    text = "".join(parts)
    try:
        strict = json.loads(text)
    except ValueError:
        with pytest.raises(orjson.JSONDecodeError):
            missing.loads(text.encode())
    else:
        assert missing.loads(text.encode()) == gaps(strict)


@pytest.mark.parametrize("text", [b"[Infinity]", b"[-Infinity]", b"[-NaN]", b"[nan]", b"[xNaN]", b"[NaN_]", b"[NaN1]"])
def test_infinity_and_other_words_are_no_json(text):
    with pytest.raises(orjson.JSONDecodeError):
        missing.loads(text)


@pytest.mark.parametrize("text", [b'"' * (8 << 20) + b"NaN", b'"' + b'\\"' * (4 << 20) + b"NaN"])
def test_a_body_of_quotes_is_looked_at_once(text):
    with pytest.raises(orjson.JSONDecodeError):
        missing.loads(text)


async def test_an_example_with_a_gap_passes_and_may_be_sent(tmp_path):
    frame = pd.DataFrame({"a": [1.0, math.nan, 3.0, 4.0], "b": [1.5, 2.5, 3.5, 4.5]})
    tree = DecisionTreeClassifier(random_state=0).fit(frame, [0, 1, 0, 1])
    with warnings.catch_warnings(action="ignore"):
        mlflow.sklearn.save_model(
            tree,
            tmp_path / "model",
            signature=mlflow.models.infer_signature(frame, tree.predict(frame)),
            input_example=frame,
            skops_trusted_types=["sklearn.tree._tree.Tree"],
        )
    example = (tmp_path / "model" / "serving_input_example.json").read_bytes()
    assert b"NaN" in example
    with AsgiClient(tmp_path / "model") as client:
        assert client.state.loaded.golden == "passed"
        answer = await client.request("POST", "/invocations", example)
        assert answer.json == {"predictions": tree.predict(frame).tolist()}
        refused = await client.request("POST", "/invocations", example.replace(b"1.5", b"NaN"))
        assert refused.status == 400, "this column has no gaps"
