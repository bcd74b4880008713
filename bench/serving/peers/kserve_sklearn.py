"""KServe's Python server with a scikit-learn model, as its sklearnserver does it: the model runs where KServe runs it.

Told by the environment: MODEL_FILE, a joblib file. The flags are KServe's own.
"""

import argparse
import os
from typing import Any

import joblib
from kserve import Model, ModelServer, model_server
from kserve.utils.utils import get_predict_input, get_predict_response


class Sklearn(Model):  # type: ignore[misc]
    def load(self) -> bool:
        self._estimator = joblib.load(os.environ["MODEL_FILE"])
        self.ready = True
        return True

    def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> Any:  # noqa: ARG002
        return get_predict_response(payload, self._estimator.predict(get_predict_input(payload)), self.name)


if __name__ == "__main__":
    given = argparse.ArgumentParser(parents=[model_server.parser]).parse_args()
    model = Sklearn(given.model_name)
    model.load()
    ModelServer().start([model])
