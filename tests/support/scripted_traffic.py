"""Clients of a simulated model: requests spread over the public endpoints, counted as the servers would count them."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Any

from fake_runtime import BUCKETS, FakeContainer
from operator_world import NAMESPACE, Operated

EVERY = 0.5
"""Seconds of virtual time between two rounds of requests."""


@dataclass
class Traffic:
    """`errors` and `seconds` are by model version. No randomness: shares are kept to the fraction."""

    rate: float  # requests a second, of all clients together
    errors: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    answered: dict[str, float] = field(default_factory=dict)
    nobody: float = 0.0  # requests for which there was no endpoint
    _owed: dict[str, list[float]] = field(default_factory=dict)

    async def flow(self, world: Operated) -> None:
        while True:
            await asyncio.sleep(EVERY)
            reached = [found for address in ready_addresses(world) if (found := world.runtime.at(address)) is not None]
            if not reached:
                self.nobody += self.rate * EVERY
            for container in reached:
                self._serve(container, self.rate * EVERY / len(reached))

    def _serve(self, container: FakeContainer, requests: float) -> None:
        version = container.version
        self.answered[version] = self.answered.get(version, 0.0) + requests
        owed = self._owed.setdefault(container.id, [0.0, 0.0])
        bad = requests * self.errors.get(version, 0.0)
        for place, (code, wanted) in enumerate([(200, requests - bad), (500, bad)]):
            owed[place] += wanted
            whole = int(owed[place])
            owed[place] -= whole
            if whole:
                _count(container, code, whole, self.seconds.get(version, 0.01))


def ready_addresses(world: Operated) -> list[str]:
    slices = world.client.list("EndpointSlice", NAMESPACE, {"kubernetes.io/service-name": "iris"})
    endpoints = [endpoint for one in slices for endpoint in one.get("endpoints") or []]
    return [endpoint["addresses"][0] for endpoint in endpoints if endpoint["conditions"].get("ready")]


def _count(container: FakeContainer, code: int, requests: int, seconds: float) -> None:
    row: list[Any] | None = next((row for row in container.requests if row[1] == code), None)
    if row is None:
        row = ["predict", code, 0, [0] * (len(BUCKETS) + 1)]
        container.requests.append(row)
    row[2] += requests
    row[3][bisect_left(BUCKETS, seconds)] += requests
