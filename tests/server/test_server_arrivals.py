"""Who comes whole is counted until somebody begins with it: the last one of a turn lets the model run at once."""

import asyncio
import contextlib

import pytest
import uvicorn
from uvicorn.server import ServerState

import model_dirs
from asgi_client import AsgiClient
from headgate_server import connections
from headgate_server.connections import CAME_KEY

ROW = b'{"features": [5.1, 3.5, 1.4, 0.2]}'
HEAD = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 34\r\n\r\n"
GET = b"GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n"
REFUSED = HEAD.replace(b"application/json", b"text/plain") + ROW


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return model_dirs.onnx_iris(tmp_path_factory.mktemp("model") / "iris")


class Listening:
    """A server in this event loop, and the scopes of what it was asked."""

    def __init__(self, app):
        self._app = app
        self.scopes = []

    async def __call__(self, scope, receive, send):
        self.scopes.append(scope)
        await self._app(scope, receive, send)

    @property
    def came(self):
        return [CAME_KEY in scope for scope in self.scopes]

    @property
    def behind(self):
        return {scope[CAME_KEY].behind for scope in self.scopes if CAME_KEY in scope}


@contextlib.asynccontextmanager
async def listening(app):
    watched = Listening(app)
    config = uvicorn.Config(watched, ws="none", lifespan="off", log_config=None)
    config.load()
    kind, state = connections.protocol(0, 60), ServerState()
    server = await asyncio.get_running_loop().create_server(lambda: kind(config, state, {}), "127.0.0.1", 0)
    yield watched, server.sockets[0].getsockname()
    server.close()


async def answers(reader, count):
    """The statuses of so many answers."""
    found = []
    for _ in range(count):
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(length)
        found.append(int(head[9:12]))
    return found


@pytest.mark.parametrize(
    ("sent", "statuses", "came"),
    [
        ([HEAD + ROW], [200], [True]),
        ([GET], [404], [True]),
        ([REFUSED], [415], [True]),
        ([HEAD, ROW], [200], [False]),
        ([HEAD + ROW[:9], ROW[9:] + HEAD, ROW], [200, 200], [False, False]),
        ([HEAD + ROW + HEAD + ROW + GET], [200, 200, 404], [True, False, False]),
    ],
)
async def test_every_request_is_answered_and_none_stays_counted(model, sent, statuses, came):
    with AsgiClient(model) as client:
        async with listening(client.app) as (watched, address):
            reader, writer = await asyncio.open_connection(*address)
            for n, part in enumerate(sent, 1):
                writer.write(part)
                if n < len(sent):
                    async with asyncio.timeout(60):
                        while len(watched.scopes) < 1:  # noqa: ASYNC110 - a request that is begun tells nobody
                            await asyncio.sleep(0)
            async with asyncio.timeout(60):
                assert await answers(reader, len(statuses)) == statuses
            assert watched.came[: len(came)] == came
            assert watched.behind <= {0}
            writer.close()
            await writer.wait_closed()
