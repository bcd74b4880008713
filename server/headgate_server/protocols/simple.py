"""POST /predict and /predict/batch: rows in, predictions out, for people and small programs.

`{"features": [..]}` in the signature's order, `{"features": {name: value}}`, or the bare record; a batch is
`{"instances": [..]}` of either.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from headgate_server.loaders.runtime import Model, Output
from headgate_server.protocols.call import Call, Content, Facts, Reply
from headgate_server.protocols.jsonable import dumps
from headgate_server.validation import Batch, InvalidInput, Validator

if TYPE_CHECKING:
    from headgate_server.loading import Loaded


def read(content: Content, loaded: "Loaded") -> Call:
    batch = one(content.json(), loaded.validator)

    def answer(outputs: Sequence[Output], facts: Facts) -> Reply:
        return Reply(dumps(predictions(outputs, loaded, 1)[0] | _about(loaded, facts)))

    return Call(batch, wanted(loaded.model), answer)


def read_many(content: Content, loaded: "Loaded") -> Call:
    batch = many(content.json(), loaded.validator)

    def answer(outputs: Sequence[Output], facts: Facts) -> Reply:
        return Reply(dumps({"predictions": predictions(outputs, loaded, batch.rows)} | _about(loaded, facts)))

    return Call(batch, wanted(loaded.model), answer)


def one(body: Any, validator: Validator) -> Batch:
    if not isinstance(body, dict) or not body:
        raise InvalidInput('expected {"features": [..]}, {"features": {name: value}} or one record')
    features = body.get("features") if set(body) == {"features"} else None
    if isinstance(features, list):
        return validator.positional([features])
    return validator.records([features if isinstance(features, dict) else body])


def many(body: Any, validator: Validator) -> Batch:
    """Also V1's form of rows."""
    rows = body.get("instances") if isinstance(body, dict) else None
    if not isinstance(rows, list) or not rows:
        raise InvalidInput('expected {"instances": [..]} with one or more rows')
    return validator.records(rows) if isinstance(rows[0], dict) else validator.positional(rows)


def wanted(model: Model) -> list[str]:
    return [name for name in (model.label_output, model.probability_output) if name]


def predictions(outputs: Sequence[Output], loaded: "Loaded", rows: int) -> list[dict[str, Any]]:
    """A row each: prediction, and what is known of its class."""
    labels = outputs[0].values
    probabilities = outputs[1].values if len(outputs) > 1 else None
    return [_row(_at(labels, n, rows), _at(probabilities, n, rows), loaded) for n in range(rows)]


def _row(label: Any, probabilities: Any, loaded: "Loaded") -> dict[str, Any]:
    prediction = _bare(label)
    body: dict[str, Any] = {"prediction": prediction}
    name = _class_name(prediction, loaded.model.classes, loaded.class_names)
    if name is not None:
        body["class_name"] = name
    if (probability := _probability(probabilities, prediction, loaded.model.classes)) is not None:
        body["probability"] = probability
    return body


def _about(loaded: "Loaded", facts: Facts) -> dict[str, Any]:
    return {
        "model": loaded.name,
        "version": loaded.version,
        "request_id": facts.request_id,
        "latency_ms": facts.latency_ms,
    }


def _at(values: Any, row: int, rows: int) -> Any:
    """That row; a model may give one thing for all of a lone row."""
    if isinstance(values, np.ndarray) and values.ndim and len(values) == rows:
        return values[row]
    return values[row] if isinstance(values, list) and len(values) == rows else values


def _bare(row: Any) -> Any:
    """A row of one value is that value."""
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


def _probability(row: Any, prediction: Any, classes: Sequence[Any]) -> float | None:
    if not isinstance(row, np.ndarray) or row.ndim != 1 or not len(row):
        return None
    at = list(classes).index(prediction) if prediction in classes else int(row.argmax())
    return float(row[at]) if at < len(row) else None
