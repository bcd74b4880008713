"""The V1 protocol of KServe and TensorFlow Serving: `{"instances": [..]}` in, `{"predictions": [..]}` out, in order.

A model with several outputs answers an object of them for each row, as TensorFlow Serving does.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from headgate_server.loaders.runtime import Output
from headgate_server.protocols import simple
from headgate_server.protocols.call import Call, Content, Facts, Reply
from headgate_server.protocols.jsonable import dumps, plain

if TYPE_CHECKING:
    from headgate_server.loading import Loaded


def read(content: Content, loaded: "Loaded") -> Call:
    batch = simple.many(content.json(), loaded.validator)

    def answer(outputs: Sequence[Output], facts: Facts) -> Reply:
        del facts
        return Reply(dumps({"predictions": predictions(outputs)}))

    return Call(batch, loaded.model.default_outputs, answer)


def predictions(outputs: Sequence[Output]) -> Any:
    if len(outputs) == 1:
        return plain(outputs[0].values)
    names = [output.name for output in outputs]
    columns = [o.values.tolist() if isinstance(o.values, np.ndarray) else o.values for o in outputs]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
