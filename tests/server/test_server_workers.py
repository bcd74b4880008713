"""Several workers are one server: one set of numbers, one model, one end; and one that dies is not missed."""

import contextlib
import http.client
import json
import os
import select
import signal
import threading
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

import model_dirs
from fake_mlflow import FakeMlflow
from server_process import ServerProcess

ROW = {"features": [5.1, 3.5, 1.4, 0.2]}


def two(model: Any, **given: Any) -> ServerProcess:
    return ServerProcess(model=model, workers=2, model_name="iris", **given)


def counters(server: ServerProcess) -> Any:
    return server.request("GET", "/counters", port=server.ops_port).json


def samples(server: ServerProcess) -> dict[str, float]:
    """Every counter of the scrape by its name and labels."""
    text = server.request("GET", "/metrics", port=server.ops_port).body.decode()
    families = [f for f in text_string_to_metric_families(text) if f.type in {"counter", "histogram"}]
    return {f"{s.name}{s.labels}": s.value for f in families for s in f.samples}


def numbers(told: Any) -> dict[Any, int]:
    """Every counter of /counters by its name."""
    return {(group, code): count for group, code, count, _ in told["requests"]} | dict(told["predictions"])


def started(server: ServerProcess, number: int) -> list[int]:
    """The ids of all processes that were worker `number`, the present one last."""
    return [
        line["pid"] for line in list(server.log) if line["message"] == "worker started" and line["worker"] == number
    ]


def answering(connection: http.client.HTTPConnection) -> int:
    """Which worker is at the other end."""
    connection.request("GET", "/logs?limit=1")
    return int(json.loads(connection.getresponse().read())["logs"][0]["worker"])


def open_to_both(server: ServerProcess, stack: contextlib.ExitStack) -> dict[int, http.client.HTTPConnection]:
    """A connection to each worker, by its number."""
    found: dict[int, http.client.HTTPConnection] = {}

    def both() -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        stack.callback(connection.close)
        found.setdefault(answering(connection), connection)
        return set(found) == {0, 1}

    server.wait_until(both)
    return found


@contextlib.contextmanager
def load(server: ServerProcess, answers: list[int]) -> Iterator[threading.Event]:
    """Clients with fresh connections, until the end of the block or the event; 0 for a connection that broke."""
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            try:
                answers.append(server.post("/predict", ROW).status)
            except (OSError, http.client.HTTPException):
                answers.append(0)

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for client in clients:
        client.start()
    try:
        yield done
    finally:
        done.set()
        for client in clients:
            client.join()


# -- one set of numbers -------------------------------------------------------------------------------------------


def test_whichever_worker_is_asked_tells_what_both_have_answered(model):
    with two(model, connection_max_age=0) as server, contextlib.ExitStack() as stack:
        server.wait_ready()
        before = counters(server)
        workers = open_to_both(server, stack)
        for connection in workers.values():
            for body in (ROW, ROW, {"features": ["a"]}):
                connection.request("POST", "/predict", json.dumps(body), {"content-type": "application/json"})
                connection.getresponse().read()
        # A request is counted when its answer is out.
        server.wait_until(lambda: counters(server)["in_flight"] == 0)
        for connection in workers.values():
            connection.request("GET", "/counters")
            told = json.loads(connection.getresponse().read())
            counted = {(path, code): n for path, code, n, _ in told["requests"] if path != "other"}
            assert counted == {("predict", 200): 4, ("predict", 400): 2}
            assert (told["errors"], told["predictions"]) == ([["invalid_input", 2]], [["0", 4]])
            assert told["start_id"] == before["start_id"]
            assert told["open_connections"] >= 2
            assert told["last_request_age_seconds"] >= 0
        found = samples(server)
        [rows] = [value for name, value in found.items() if name.startswith("headgate_batch_rows_sum")]
        assert rows == 4
        [violations] = [value for name, value in found.items() if name.startswith("headgate_schema_violations_total")]
        assert violations == 2


def test_under_load_every_answer_is_counted_once(model):
    answers: list[int] = []
    with two(model) as server:
        server.wait_ready()
        with load(server, answers):
            server.wait_until(lambda: len(answers) > 300)
        server.wait_until(lambda: counters(server)["in_flight"] == 0)
        [[path, code, count, buckets]] = counters(server)["requests"]
        assert (path, code, count, sum(buckets)) == ("predict", 200, len(answers), len(answers))
        assert counters(server)["predictions"] == [["0", len(answers)]]


# -- a worker that dies -------------------------------------------------------------------------------------------


def test_a_killed_worker_is_replaced_and_no_number_goes_back(model):
    answers: list[int] = []
    with two(model) as server:
        server.wait_ready()
        with load(server, answers):
            server.wait_until(lambda: len(answers) > 100)
            old = started(server, 0)[-1]
            told, scraped = [counters(server)], [samples(server)]

            def killed_and_back() -> bool:
                told.append(counters(server))
                scraped.append(samples(server))
                return len(started(server, 0)) == 2 and told[-1]["ready"]

            os.kill(old, signal.SIGKILL)
            with contextlib.suppress(ConnectionError):  # of a scrape that the killed worker had
                server.wait_until(killed_and_back)
            server.wait_until(killed_and_back)
            since = len(answers)
            server.wait_until(lambda: len(answers) > since + 100)
        assert server.wait_for_log("a worker ended and is started again")["how"] == "signal 9"
        # Broken off: what the killed worker had under way. Nobody was answered 503 by the one that was loading.
        assert set(answers) <= {200, 0}
        assert answers.count(0) <= 4
        assert answers[since:].count(0) == 0
        assert len({body["start_id"] for body in told}) == 1
        uptimes = [body["uptime_seconds"] for body in told]
        assert uptimes == sorted(uptimes)
        for then, later in (*pairwise(map(numbers, told)), *pairwise(scraped)):
            assert [name for name, value in then.items() if later.get(name, -1) < value] == []
        with contextlib.ExitStack() as stack:
            assert set(open_to_both(server, stack)) == {0, 1}
        assert server.readyz().json["ready"] is True


def test_requests_that_die_with_their_worker_are_counted_as_failed_and_are_no_longer_under_way(model):
    with two(model) as server, contextlib.ExitStack() as stack:
        server.wait_ready()
        for _ in range(3):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
            stack.callback(connection.close)
            connection.putrequest("POST", "/predict")
            connection.putheader("content-length", "10")
            connection.endheaders()
        server.wait_until(lambda: counters(server)["in_flight"] == 3)
        start_id = counters(server)["start_id"]
        for number in (0, 1):
            os.kill(started(server, number)[-1], signal.SIGKILL)
        server.wait_until(lambda: all(len(started(server, number)) == 2 for number in (0, 1)))
        server.wait_ready()
        told = counters(server)
        assert (told["in_flight"], told["open_connections"], told["start_id"]) == (0, 0, start_id)
        assert [row[:3] for row in told["requests"]] == [["predict", 500, 3]]
        assert told["errors"] == [["internal", 3]]


def test_a_worker_that_is_replaced_serves_the_files_of_the_others_or_none(tmp_path):
    path = model_dirs.onnx_iris(tmp_path / "iris")
    with two(path) as server:
        digest = server.wait_ready().readyz().json["digest"]
        model_dirs.onnx_iris(path, metadata={"another": 1})
        os.kill(started(server, 1)[-1], signal.SIGKILL)
        told = server.wait_for_reason("DigestMismatch")
        assert told["permanent"] is True
        assert server.get("/model/info").json["digest"] == digest
        assert [server.post("/predict", ROW).status for _ in range(20)] == [200] * 20
        assert server.get("/health").status == 503, "who would trust half a server"


def test_an_alias_that_moves_and_a_registry_that_is_gone_change_nothing_for_a_worker_that_is_replaced(tmp_path):
    with FakeMlflow() as registry:
        for n in (1, 2):
            registry.register("iris", model_dirs.onnx_iris(tmp_path / str(n), metadata={"n": n}))
        registry.set_alias("iris", "champion", "1")
        server = two("models:/iris@champion", registry_uri=registry.uri, registry_timeout=1)
        with server:
            server.wait_ready()
            assert len(registry.asked("1/models")) < 10, "one download for both"
            registry.set_alias("iris", "champion", "2")
            registry.stop()
            for number in (0, 1):
                os.kill(started(server, number)[-1], signal.SIGKILL)
                server.wait_until(lambda at=number: len(started(server, at)) == 2)
                server.wait_ready()
            assert {server.post("/predict", ROW).json["version"] for _ in range(20)} == {"1"}


class Deadly:
    def __reduce__(self) -> Any:
        return os._exit, (3,)


def test_a_worker_that_dies_of_its_model_is_tried_again_ever_later(tmp_path):
    path = model_dirs.pickled(tmp_path / "model", Deadly())
    with two(path, trust_pickle="true", requirements="Warn") as server:

        def deaths() -> list[Any]:
            return [entry for entry in list(server.log) if entry["message"] == "a worker ended and is started again"]

        server.wait_until(lambda: len(deaths()) >= 3)
        assert {entry["how"] for entry in deaths()} == {"code 3"}
        waits = [[entry["seconds"] for entry in deaths() if entry["worker"] == n] for n in (0, 1)]
        assert max(waits, key=len)[:2] == [0.1, 0.2]


def test_a_model_that_cannot_be_served_is_told_and_no_worker_is_started_anew(tmp_path):
    with two(tmp_path / "nothing", drain_delay=600) as server:
        assert server.wait_for_reason("ArtifactMissing")["permanent"] is True
        assert server.post("/predict", ROW).status == 503
        assert server.request("GET", "/livez").status == 200
        assert counters(server)["ready"] is False
        server.terminate()
        assert server.wait() == 0
        assert [len(started(server, number)) for number in (0, 1)] == [1, 1]


def test_workers_do_not_outlive_their_parent(model):
    with two(model, drain_delay=600) as server:
        server.wait_ready()
        with contextlib.ExitStack() as stack:
            # Readable when that process has ended, whoever's child it is by then.
            workers = [os.pidfd_open(started(server, number)[-1]) for number in (0, 1)]
            for worker in workers:
                stack.callback(os.close, worker)
            server.signal(signal.SIGKILL)
            assert server.wait() == -signal.SIGKILL
            for worker in workers:
                assert select.select([worker], [], [], 60)[0]


# -- what several cannot do ---------------------------------------------------------------------------------------


def test_a_reload_would_reach_one_of_several_and_is_refused_with_what_to_do(model):
    with two(model, admin_key="s3cret") as server:
        server.wait_ready()
        assert server.request("POST", "/model/reload").status == 401
        answer = server.request("POST", "/model/reload", headers={"x-admin-key": "s3cret"})
        assert answer.status == 409
        assert "--workers=1" in answer.json["error"]["message"]
