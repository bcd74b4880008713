"""The background process behind `headgate local up`: assembles the plane, says how far it is, ends cleanly.

Progress goes to a file that `up` reads, because nothing ties the two processes together once the plane runs.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from headgate_local.addresses import Addresses, NoAddressLeftError, ReservedBlock
from headgate_local.crd_files import DefinitionsMissingError, definitions
from headgate_local.http import Served, serving
from headgate_local.images import Images
from headgate_local.kubelet.process_runtime import ProcessRuntime
from headgate_local.plane import Plane
from headgate_local.processes import write_pid_file
from headgate_local.state_folder import StateFolder

_log = logging.getLogger(__name__)

PREFERRED_PORT = 16443


class _Progress:
    def __init__(self, path: Path) -> None:
        self._path = path

    def say(self, line: str) -> None:
        with self._path.open("a") as file:
            file.write(f"{line}\n")

    def fail(self, why: str) -> None:
        self.say(f"failed: {why}")


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    state = StateFolder.at(options.state)
    progress = _Progress(state.progress)
    _raise_file_limit()
    write_pid_file(state.pid_file, os.getpid())
    try:
        asyncio.run(_serve(state, options, progress))
    except (OSError, NoAddressLeftError, DefinitionsMissingError) as error:
        _log.error("cannot start: %s", error)
        progress.fail(str(error))
        return 1
    finally:
        state.pid_file.unlink(missing_ok=True)
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="headgate_local.daemon")
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--port", type=int)
    parser.add_argument("--image", action="append", default=[])
    parser.add_argument("--no-crds", action="store_true")
    parser.add_argument("--crash-backoff", type=float, default=10.0)
    return parser.parse_args(arguments)


async def _serve(state: StateFolder, options: argparse.Namespace, progress: _Progress) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    block = ReservedBlock()
    plane = Plane(
        runtime=ProcessRuntime(state.path, Images.parse(options.image)),
        addresses=Addresses(block.block),
        proxy=True,
        record_events=True,
        backoff_base=options.crash_backoff,
    )
    async with serving(plane.api, host="127.0.0.1", port=_port(options.port), state=state.path) as served, plane:
        _announce(served, block, progress)
        if not options.no_crds:
            for definition in definitions():
                plane.client.create(definition)
                progress.say(f"installed   {definition['metadata']['name']}")
        progress.say("ready")
        _log.info("ready at %s", served.url)
        await stopped.wait()
        _log.info("ending")


def _announce(served: Served, block: ReservedBlock, progress: _Progress) -> None:
    progress.say(f"API server  {served.url}")
    progress.say(f"addresses   127.{block.block}.0.0/16 for pods and Services")


def _port(wanted: int | None) -> int:
    """The port that was asked for, or the usual one, or any: several planes may run side by side."""
    for port in (wanted,) if wanted is not None else (PREFERRED_PORT, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except PermissionError as error:
                raise OSError(f"port {port} needs root; choose one of 1024 to 65535 with --port") from error
            except (OSError, OverflowError) as error:
                if wanted is not None:
                    raise OSError(f"port {port} is taken or not valid; choose another with --port") from error
                continue
            return port
    raise OSError("no port is free on 127.0.0.1")


def _raise_file_limit() -> None:
    """Every proxied connection is two open files; a terminal's soft limit is often 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(main())
