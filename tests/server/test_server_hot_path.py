"""Predictions that pass no framework: the same answers, refusals and counts as everywhere else."""

import pytest

from asgi_client import AsgiClient
from headgate_server.hot import HotPath
from server_requests import ASKED, INFER, plain


@pytest.mark.parametrize(("path", "body"), ASKED)
async def test_the_framework_would_have_answered_the_same(model, monkeypatch, path, body):
    with AsgiClient(model) as hot:
        found = plain(await hot.request("POST", path, body))
    monkeypatch.setattr(HotPath, "__call__", lambda self, *given: self._app(*given))
    with AsgiClient(model) as framework:
        assert plain(await framework.request("POST", path, body)) == found


async def test_another_method_is_refused_in_the_shape_of_the_path(model):
    with AsgiClient(model) as client:
        for path in ("/predict", "/invocations", "/v2/models/iris/infer"):
            reply = await client.request("GET", path)
            assert (reply.status, reply.headers["allow"]) == (405, "POST")


async def test_no_framework_stands_in_the_way(model, monkeypatch):
    with AsgiClient(model) as client:

        async def framework(*_):
            raise AssertionError("the framework was asked")

        monkeypatch.setattr(client.app._app, "_app", framework)
        for path, body in ASKED[:7]:
            assert (await client.request("POST", path, body)).status == 200


async def test_paths_that_clients_make_up_do_not_fill_the_memory(model):
    with AsgiClient(model) as client:
        for n in range(200):
            assert (await client.request("POST", f"/v2/models/m{n}/infer", INFER)).status == 404
        assert len(client.paths.known) <= 64
        assert (await client.request("POST", "/v2/models/iris/infer", INFER)).status == 200
