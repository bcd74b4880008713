"""Settings of the inference server for tests that call its parts in process."""

from typing import Any

from headgate_server import settings
from headgate_server.settings import Settings


def server_settings(**given: Any) -> Settings:
    """Settings as the command line would make them, from names as in the table."""
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in ({"model": "."} | given).items()]
    return settings.load(arguments, {})
