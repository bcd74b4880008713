"""Services on real loopback sockets: who gets a connection, and what happens to it afterwards."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest

from echo_servers import NamedServer, ask
from headgate_local.addresses import Addresses, ReservedBlock
from headgate_local.plane import Plane
from plane_world import eventually, service

Address = tuple[str, int]


class Front:
    """A Service whose EndpointSlice the test writes, in front of named servers."""

    def __init__(self, plane: Plane, block: int, servers: AsyncExitStack) -> None:
        self.plane, self.block, self._servers = plane, block, servers
        self.servers: dict[str, NamedServer] = {}

    async def server(self, name: str) -> NamedServer:
        host = f"127.{self.block}.1.{len(self.servers) + 1}"
        self.servers[name] = await self._servers.enter_async_context(NamedServer(name, host))
        return self.servers[name]

    @property
    def address(self) -> Address:
        found = self.plane.client.get("Service", "default", "web")
        assert found is not None
        host, _, port = found["metadata"]["annotations"]["local.headgate.dev/address"].partition(":")
        return host, int(port)

    def point_at(self, **conditions: str) -> None:
        """Endpoints by server name: "ready", "unready" or "terminating" (which still serves)."""
        endpoints = [
            {
                "addresses": [self.servers[name].host],
                "conditions": {
                    "ready": state == "ready",
                    "serving": state in ("ready", "terminating"),
                    "terminating": state == "terminating",
                },
            }
            for name, state in conditions.items()
        ]
        labels = {"kubernetes.io/service-name": "web"}
        obj = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "web-1", "namespace": "default", "labels": labels},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            "endpoints": endpoints,
        }
        if self.plane.client.get("EndpointSlice", "default", "web-1") is None:
            self.plane.client.create(obj)
        else:
            self.plane.client.update(obj)

    async def settled(self) -> None:
        await eventually(lambda: self.plane.loop.idle, within=5, every=0.001)
        await asyncio.sleep(0)

    async def names(self, count: int) -> Counter[str]:
        return Counter([await ask(self.address) for _ in range(count)])


@pytest.fixture
def block() -> Iterator[int]:
    reserved = ReservedBlock()
    yield reserved.block
    reserved.release()


@pytest.fixture
async def front(block: int) -> AsyncIterator[Front]:
    async with AsyncExitStack() as servers, Plane(addresses=Addresses(block), proxy=True) as plane:
        # Without a selector, the EndpointSlice is the test's own.
        plane.client.create(service(selector=None))
        front = Front(plane, block, servers)
        await front.settled()
        yield front


async def test_connections_are_spread_over_ready_endpoints_only(front: Front) -> None:
    for name in ("a", "b", "c"):
        await front.server(name)
    front.point_at(a="ready", b="ready", c="unready")
    await front.settled()
    names = await front.names(200)
    assert set(names) == {"a", "b"}
    # 200 fair coins: fewer than 50 of one side happens once in 10^12 runs.
    assert min(names.values()) >= 50


async def test_privileged_port_listens_8000_higher(front: Front) -> None:
    assert front.address[1] == 8080


async def test_a_change_reaches_new_connections_only(front: Front) -> None:
    await front.server("old")
    await front.server("new")
    front.point_at(old="ready")
    await front.settled()
    reader, writer = await asyncio.open_connection(*front.address)
    writer.write(b"one\n")
    assert await reader.readline() == b"old one\n"
    front.point_at(new="ready")
    await front.settled()
    assert await front.names(20) == {"new": 20}
    writer.write(b"two\n")
    assert await reader.readline() == b"old two\n"
    writer.close()
    await writer.wait_closed()


async def test_no_endpoint_means_connection_refused_and_an_open_connection_lives_on(front: Front) -> None:
    await front.server("a")
    front.point_at(a="ready")
    await front.settled()
    reader, writer = await asyncio.open_connection(*front.address)
    front.point_at(a="unready")
    await front.settled()
    with pytest.raises(ConnectionRefusedError):
        await ask(front.address)
    writer.write(b"still\n")
    assert await reader.readline() == b"a still\n"
    writer.close()
    await writer.wait_closed()
    front.point_at(a="ready")
    await front.settled()
    assert await ask(front.address) == "a"


async def test_terminating_endpoints_serve_only_when_nothing_else_does(front: Front) -> None:
    await front.server("going")
    await front.server("coming")
    front.point_at(going="terminating", coming="ready")
    await front.settled()
    assert await front.names(20) == {"coming": 20}
    front.point_at(going="terminating", coming="unready")
    await front.settled()
    assert await front.names(20) == {"going": 20}


async def test_a_refusing_endpoint_is_a_reset_and_never_a_second_try(front: Front) -> None:
    gone = await front.server("gone")
    here = await front.server("here")
    await gone.stop()
    front.point_at(gone="ready", here="ready")
    await front.settled()
    outcomes: Counter[str] = Counter()
    for _ in range(100):
        try:
            outcomes[await ask(front.address)] += 1
        except ConnectionResetError:
            outcomes["reset"] += 1
    assert outcomes["reset"] + outcomes["here"] == 100
    assert outcomes["reset"] >= 20
    assert here.connections == outcomes["here"]


async def test_half_close_goes_through_both_ways(front: Front) -> None:
    await front.server("a")
    front.point_at(a="ready")
    await front.settled()
    reader, writer = await asyncio.open_connection(*front.address)
    writer.write(b"last\n")
    writer.write_eof()
    assert await reader.read() == b"a last\nbye\n"
    writer.close()
    await writer.wait_closed()


async def test_a_reset_by_the_client_reaches_the_server(front: Front) -> None:
    server = await front.server("a")
    front.point_at(a="ready")
    await front.settled()
    loop = asyncio.get_running_loop()
    client = socket.socket()
    client.setblocking(False)
    await loop.sock_connect(client, front.address)
    await loop.sock_sendall(client, b"one\n")
    assert await loop.sock_recv(client, 100) == b"a one\n"
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    await eventually(lambda: server.resets == 1, within=5)


async def test_a_reset_by_the_server_is_no_orderly_end_for_the_client(front: Front) -> None:
    server = await front.server("a")
    front.point_at(a="ready")
    await front.settled()
    reader, writer = await asyncio.open_connection(*front.address)
    writer.write(b"one\n")
    await reader.readline()
    for held in server._writers:
        sock = held.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await server.stop()
    with pytest.raises(ConnectionResetError):
        await reader.readline()
    writer.transport.abort()


async def test_a_reader_that_stops_slows_the_writer_down(front: Front, block: int) -> None:
    """What the proxy holds for a slow side is bounded: the rest waits where it comes from."""
    sent = 0
    chunk = b"x" * 65536

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        try:
            while True:
                writer.write(chunk)
                await writer.drain()
                sent += len(chunk)
        except ConnectionError:
            writer.close()

    front.servers["flood"] = NamedServer("flood", f"127.{block}.2.1")
    server = await asyncio.start_server(flood, f"127.{block}.2.1", 8080)
    front.point_at(flood="ready")
    await front.settled()
    client = socket.socket()
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, front.address)
    before = -1

    def has_stopped() -> bool:
        nonlocal before
        still, before = sent == before and sent > 0, sent
        return still

    await eventually(has_stopped, within=10, every=0.3)
    assert sent < 64 * 2**20
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    server.close()
    await server.wait_closed()


async def test_load_with_fresh_and_kept_connections_loses_nothing_through_switches(front: Front) -> None:
    """Twelve selector changes under load: no connection is refused, reset or moved to another pod."""
    await front.server("blue")
    await front.server("green")
    front.point_at(blue="ready")
    await front.settled()
    switching = True
    fresh: Counter[str] = Counter()
    moved = 0

    async def fresh_connections() -> None:
        while switching:
            fresh[await ask(front.address)] += 1

    async def kept_connection() -> None:
        nonlocal moved
        reader, writer = await asyncio.open_connection(*front.address)
        first = b""
        while switching:
            writer.write(b"x\n")
            name = (await reader.readline()).split()[0]
            first = first or name
            moved += name != first
            await asyncio.sleep(0)
        writer.close()
        await writer.wait_closed()

    async def switches() -> None:
        nonlocal switching
        for number in range(12):
            seen = sum(fresh.values())
            front.point_at(**({"green": "ready"} if number % 2 == 0 else {"blue": "ready"}))
            await eventually(lambda seen=seen: sum(fresh.values()) >= seen + 20, within=20, every=0.005)  # type: ignore[misc]
        switching = False

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(fresh_connections())
        for _ in range(10):
            group.create_task(kept_connection())
        group.create_task(switches())
    assert moved == 0
    assert min(fresh["blue"], fresh["green"]) >= 20


async def test_deleted_service_refuses_and_its_address_is_not_reused_at_once(front: Front) -> None:
    await front.server("a")
    front.point_at(a="ready")
    await front.settled()
    address = front.address
    front.plane.client.delete("Service", "default", "web")
    await front.settled()
    with pytest.raises(ConnectionRefusedError):
        await ask(address)
    front.plane.client.create(service(selector=None))
    await front.settled()
    assert front.address[0] != address[0]
