"""Estimators from pickle and cloudpickle files, only where the settings say that whoever made them is trusted.

Unpickling runs the file's code with this process's rights: no check of the file could make that safe, so there is none.
"""

import pickle
from pathlib import Path
from typing import Any

from headgate_server import logs
from headgate_server.loaders import memory
from headgate_server.reasons import LoadError, Reason


def load(path: Path) -> Any:
    """What the file unpickles to. cloudpickle files are pickles whose functions need cloudpickle to come back."""
    logs.warning("unpickling a trusted file: its code runs in this process", file=path.name)
    try:
        with path.open("rb") as file:
            return pickle.load(file)  # noqa: S301 - HEADGATE_TRUST_PICKLE
    except ImportError as error:
        message = f"{path.name} needs the module {error.name}, which this image does not have"
        raise LoadError(Reason.UNSUPPORTED_FLAVOR, message) from None
    except Exception as error:  # noqa: BLE001
        if memory.lacked(error):
            raise memory.lacking(path.name) from None
        raise LoadError(Reason.ARTIFACT_INVALID, f"{path.name} does not unpickle: {type(error).__name__}") from None
