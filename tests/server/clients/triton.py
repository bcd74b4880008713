"""tritonclient[http] against the server at the port in argv: the strictest V2 client."""

import sys

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

ROWS = np.array([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]], dtype=np.float32)
client = triton.InferenceServerClient(f"127.0.0.1:{sys.argv[1]}")
assert client.is_server_live()
assert client.is_server_ready()
assert client.is_model_ready("iris")
assert client.is_model_ready("iris", "3")
assert not client.is_model_ready("iris", "4")
assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
assert client.get_model_metadata("iris", "3")["inputs"][0]["name"] == "X"


def tensor(*, binary: bool) -> triton.InferInput:
    made = triton.InferInput("X", list(ROWS.shape), "FP32")
    made.set_data_from_numpy(ROWS, binary_data=binary)
    return made


for binary in (True, False):
    for outputs in (None, [triton.InferRequestedOutput("label", binary_data=binary)]):
        for packing in (None, "gzip", "deflate"):
            answer = client.infer(
                "iris",
                [tensor(binary=binary)],
                model_version="3",
                outputs=outputs,
                request_id="a-1",
                request_compression_algorithm=packing,
                response_compression_algorithm=packing,
            )
            assert answer.as_numpy("label").tolist() == [0, 2]
            assert answer.get_response()["id"] == "a-1"
            assert answer.get_response()["model_version"] == "3"
            assert (answer.as_numpy("probabilities") is None) == (outputs is not None)

wrong = triton.InferInput("X", [1, 3], "FP32")
wrong.set_data_from_numpy(ROWS[:1, :3])
for call in (
    lambda: client.infer("iris", [wrong]),
    lambda: client.infer("iris", [tensor(binary=True)], model_version="4"),
    lambda: client.infer("other", [tensor(binary=True)]),
    lambda: client.infer("iris", [tensor(binary=True)], outputs=[triton.InferRequestedOutput("nope")]),
):
    refusal = ""
    try:
        call()
    except InferenceServerException as error:
        refusal = error.message()
    assert refusal, "an error, decoded"
    assert "exception occurred in the client" not in refusal
print("ok")
