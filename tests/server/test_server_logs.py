"""/logs: the last lines of the log, newest first, for whoever has the admin key or sits on the machine itself."""

import logging

import pytest

import model_dirs
from asgi_client import AsgiClient
from headgate_server import logs


@pytest.fixture
def ring(monkeypatch):
    made = logs.Ring(3)
    logs.LOGGER.addHandler(made)
    monkeypatch.setattr(logs, "RING", made)
    yield made
    logs.LOGGER.removeHandler(made)


@pytest.fixture(scope="module")
def iris(tmp_path_factory):
    with AsgiClient(model_dirs.onnx_iris(tmp_path_factory.mktemp("onnx") / "model"), admin_key="open") as client:
        yield client


def test_the_ring_keeps_the_last_lines_newest_first(ring):
    for n in range(5):
        logs.warning("told", number=n)
    assert [line["number"] for line in ring.newest(10)] == [4, 3, 2]
    assert [line["number"] for line in ring.newest(1)] == [4]
    assert ring.newest(0) == []


def test_a_line_too_long_for_memory_is_told_of_only(ring):
    logs.warning("x" * 100_000)
    assert ring.newest(1) == [{"message": "too long for /logs"}]


async def test_logs_are_for_loopback_and_for_the_admin_key(iris, ring):
    logs.warning("told", number=7)
    reply = await iris.request("GET", "/logs?limit=1")
    assert (reply.status, reply.json["logs"][0]["number"]) == (200, 7)
    proxied = {"x-forwarded-for": "10.0.0.1"}
    assert (await iris.request("GET", "/logs", headers=proxied)).status == 401
    assert (await iris.request("GET", "/logs", headers=proxied | {"x-admin-key": "wrong"})).status == 403
    assert (await iris.request("GET", "/logs", headers=proxied | {"x-admin-key": "open"})).status == 200


@pytest.mark.parametrize("limit", ["x", "-1", "1.5", "", "9" * 9])
async def test_a_limit_that_is_no_number_is_400(iris, limit):
    assert (await iris.request("GET", f"/logs?limit={limit}")).status == 400


def test_stdout_and_the_ring_get_the_same_lines(capsys):
    root = logging.getLogger()
    before, level = root.handlers[:], logs.LOGGER.level
    try:
        logs.configure()
        logs.warning("both", number=1)
        assert logs.RING.newest(1)[0]["message"] == "both"
        assert '"both"' in capsys.readouterr().out
    finally:
        root.handlers[:] = before
        logs.LOGGER.setLevel(level)
        root.setLevel(logging.WARNING)
        logging.captureWarnings(False)
