"""A BentoML service around a scikit-learn model. Told by the environment: MODEL_FILE, a joblib file."""

import os

import bentoml
import joblib


@bentoml.service(workers=1)
class Sklearn:
    def __init__(self) -> None:
        self._estimator = joblib.load(os.environ["MODEL_FILE"])

    @bentoml.api  # type: ignore[untyped-decorator]
    def predict(self, rows: list[list[float]]) -> list[int]:
        return [int(label) for label in self._estimator.predict(rows)]
