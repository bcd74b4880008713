"""LightGBM boosters from their own text format (`model.lgb`), which holds numbers and no code.

Models of its scikit-learn style are skops files or pickles, and go the way of those.
"""

from pathlib import Path
from typing import Any

import numpy as np

from headgate_server.loaders import boosted, lightgbm_text
from headgate_server.loaders.boosted import BoostedModel
from headgate_server.loaders.lightgbm_text import Checked
from headgate_server.loaders.runtime import OutputSpec
from headgate_server.mlmodel import Description
from headgate_server.reasons import LoadError, Reason
from headgate_server.signature import Columns, Inputs

try:
    import lightgbm
except OSError as error:  # the package is there, and the system has not what it needs
    raise LoadError(
        Reason.UNSUPPORTED_FLAVOR,
        f"lightgbm does not find a library of the system: {error}; libgomp.so.1 is in Debian's package libgomp1",
    ) from None


def load(described: Description, threads: int) -> BoostedModel:
    """The model of the directory, or the reason why it is not served."""
    path = described.file(described.flavor_fields.get("data"), "flavors.lightgbm.data")
    booster, checked = _booster(path)
    model = BoostedModel(
        described,
        _names(checked, described.signature.inputs),
        len(checked.names),
        platform="lightgbm_text",
        runtime=f"lightgbm {lightgbm.__version__}",
    )
    spec = OutputSpec("predict", "FP64", (-1, checked.outputs) if checked.outputs > 1 else (-1,))
    model.answers(lambda rows: np.asarray(booster.predict(rows, num_threads=threads)), spec)
    return model


def _booster(path: Path) -> tuple[Any, Checked]:
    try:
        checked = lightgbm_text.checked(path.read_bytes())
        return lightgbm.Booster(model_str=checked.text), checked
    except Exception as error:  # noqa: BLE001 - whatever a hostile file makes it raise
        raise boosted.refusal(error, path.name, "LightGBM") from None


def _names(checked: Checked, inputs: Inputs | None) -> tuple[str, ...] | None:
    """The trees' columns, as the signature calls them: LightGBM writes an underscore for each space of a name."""
    if checked.names == tuple(f"Column_{number}" for number in range(len(checked.names))):
        return None
    given = {name.replace(" ", "_"): name for name in inputs.names} if isinstance(inputs, Columns) else {}
    return tuple(given.get(name, name) for name in checked.names)
