"""POST /predict: one row in, one prediction out, for people and small programs.

`{"features": [..]}` in the signature's order, `{"features": {name: value}}`, or the bare record.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from headgate_server.loaders.runtime import Model, Output
from headgate_server.validation import Batch, InvalidInput, Validator


def batch(body: Any, validator: Validator) -> Batch:
    if not isinstance(body, dict) or not body:
        raise InvalidInput('expected {"features": [..]}, {"features": {name: value}} or one record')
    features = body.get("features") if set(body) == {"features"} else None
    if isinstance(features, list):
        return validator.positional([features])
    return validator.records([features if isinstance(features, dict) else body])


def wanted(model: Model) -> list[str]:
    return [name for name in (model.label_output, model.probability_output) if name]


def answer(outputs: Sequence[Output], model: Model, class_names: Sequence[str]) -> dict[str, Any]:
    """prediction, and what is known of its class."""
    prediction = _first(outputs[0].values)
    body: dict[str, Any] = {"prediction": prediction}
    name = _class_name(prediction, model.classes, class_names)
    if name is not None:
        body["class_name"] = name
    if len(outputs) > 1 and (probability := _probability(outputs[1].values, prediction, model.classes)) is not None:
        body["probability"] = probability
    return body


def _first(values: Any) -> Any:
    """The only row; a row of one value is that value."""
    row = values[0] if isinstance(values, np.ndarray) and values.ndim else values
    if isinstance(values, list) and values:
        row = values[0]
    if isinstance(row, np.ndarray):
        row = row.tolist()
    while isinstance(row, list) and len(row) == 1:
        row = row[0]
    return row.item() if isinstance(row, np.generic) else row


def _class_name(prediction: Any, classes: Sequence[Any], names: Sequence[str]) -> str | None:
    if isinstance(prediction, str):
        return prediction
    if isinstance(prediction, list) or not names:
        return None
    if prediction in classes:
        at = list(classes).index(prediction)
    elif isinstance(prediction, int) and not classes:
        at = prediction
    else:
        return None
    return names[at] if 0 <= at < len(names) else None


def _probability(values: Any, prediction: Any, classes: Sequence[Any]) -> float | None:
    if not isinstance(values, np.ndarray) or values.ndim != 2 or not values.shape[1]:
        return None
    row = values[0]
    at = list(classes).index(prediction) if prediction in classes else int(row.argmax())
    return float(row[at]) if at < len(row) else None
