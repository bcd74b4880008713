"""A model directory as the server loads it, in process; and why it is refused."""

from pathlib import Path
from typing import Any

import pytest

from headgate_server.loading import Loaded, load
from headgate_server.reasons import LoadError
from headgate_server.registry.source import Located
from server_settings import server_settings


def loaded(path: Path, **given: Any) -> Loaded:
    located = Located(path, "sha256:" + "0" * 64, "m", "1", "path", str(path))
    return load(located, server_settings(model=path, **given), lambda: None)


def refused(path: Path, **given: Any) -> LoadError:
    with pytest.raises(LoadError) as caught:
        loaded(path, **given)
    return caught.value
