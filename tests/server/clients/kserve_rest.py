"""kserve's InferenceRESTClient, V2 and V1, against the server at the port in argv; runs in kserve's own environment."""

import asyncio
import sys

import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

BASE = f"http://127.0.0.1:{sys.argv[1]}"
ROWS = np.array([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]], dtype=np.float32)


async def v2() -> None:
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    assert await client.is_server_live(BASE)
    assert await client.is_server_ready(BASE)
    assert await client.is_model_ready(BASE, "iris")
    assert not await client.is_model_ready(BASE, "other")
    for binary in (True, False):
        tensor = InferInput(name="X", shape=list(ROWS.shape), datatype="FP32")
        tensor.set_data_from_numpy(ROWS, binary_data=binary)
        asked = InferRequest(model_name="iris", request_id="7", infer_inputs=[tensor])
        answer = await client.infer(BASE, asked, model_name="iris")
        label = next(o for o in answer.outputs if o.name == "label")
        assert label.as_numpy().tolist() == [0, 2], label
        assert (answer.id, answer.model_name) == ("7", "iris")
    await client.close()


async def v1() -> None:
    client = InferenceRESTClient(RESTConfig(protocol="v1"))
    assert await client.is_server_live(BASE)
    assert await client.is_model_ready(BASE, "iris")
    answer = await client.infer(BASE, {"instances": ROWS.tolist()}, model_name="iris")
    assert [p["label"] for p in answer["predictions"]] == [0, 2], answer
    await client.close()


asyncio.run(v2())
asyncio.run(v1())
print("ok")
