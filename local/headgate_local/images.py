"""Image names -> commands: what a container runtime's registry is to a plane whose containers are local processes."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

BUILT_IN: Mapping[str, tuple[str, ...]] = {"headgate-server": (sys.executable, "-m", "headgate_server")}


class ImageArgumentError(ValueError):
    """An `--image` argument that is not NAME=COMMAND."""


@dataclass(frozen=True)
class Images:
    commands: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def parse(cls, arguments: Iterable[str]) -> Images:
        commands = {}
        for argument in arguments:
            name, separator, command = argument.partition("=")
            if not separator or not name or not shlex.split(command):
                raise ImageArgumentError(
                    f"--image wants NAME=COMMAND, for example web='python3 web.py', not {argument!r}"
                )
            commands[name] = tuple(shlex.split(command))
        return cls(commands)

    def command(self, image: str) -> tuple[str, ...] | None:
        """The command of an image, by its full name, without tag, or by its last path part."""
        untagged = _untagged(image)
        for name in (image, untagged, untagged.rsplit("/", 1)[-1]):
            if name in self.commands:
                return self.commands[name]
        return BUILT_IN.get(untagged.rsplit("/", 1)[-1])


def _untagged(image: str) -> str:
    image = image.partition("@")[0]
    head, slash, last = image.rpartition("/")
    return head + slash + last.partition(":")[0]
