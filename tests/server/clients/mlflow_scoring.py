"""MLflow's scoring client against the server at the port in argv."""

import sys
import warnings

warnings.simplefilter("ignore")

import pandas as pd  # noqa: E402
from mlflow.pyfunc.scoring_server.client import ScoringServerClient  # noqa: E402

client = ScoringServerClient("127.0.0.1", int(sys.argv[1]))
client.ping()
assert client.get_version()
client.wait_server_ready(timeout=5, scoring_server_proc=type("Proc", (), {"poll": lambda _: None})())
frame = pd.DataFrame([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]], columns=["sl", "sw", "pl", "pw"])
predictions = client.invoke(frame).get_predictions()
print(predictions)
assert predictions[0].tolist() == [0, 2] if 0 in predictions else predictions["label"].tolist() == [0, 2]
print("ok")
