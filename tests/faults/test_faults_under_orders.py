"""Orders of people and of webhooks to a real operator, while clients ask without end."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from fault_lab import Lab, Subject

BLUE_GREEN = {"strategy": "BlueGreen"}


def test_a_restart_replaces_the_pods_without_a_loss(iris: Subject) -> None:
    iris.goes_live(rollout=BLUE_GREEN)
    before, pods = iris.status["stable"]["revision"], set(iris.pods())
    with iris.load() as load:
        assert "version 1 starts in new pods" in iris.headgate("restart")
        iris.until(lambda: iris.status["stable"]["revision"] != before, "the new revision has the traffic")
        iris.serves("1")
        iris.answered(load, "1")
    assert load.lost == []
    assert iris.outcomes() == ["Promoted", "Promoted"]
    assert iris.rejected() == []
    assert set(iris.pods()) > pods, "the old ones stay warm"
    assert "Restart" in iris.headgate("history")


def test_a_pause_holds_a_version_back_until_resume_and_says_by_whom(iris: Subject) -> None:
    iris.goes_live(rollout=BLUE_GREEN)
    assert "no rollout starts until resume" in iris.headgate("pause")
    iris.release()
    assert "paused by" in iris.waits_for("Ready", "True", "Paused")
    assert "paused" in iris.headgate("status")
    assert iris.ask().version == "1"
    assert "version 2 goes on" in iris.headgate("resume")
    iris.serves("2")


def test_the_newest_version_with_a_tag_is_followed_and_an_undo_goes_to_one_by_its_number(iris: Subject) -> None:
    registry, tag = iris.lab.registry, ("validation_status", "approved")
    for _ in range(3):
        iris.release()
    registry.set_tag(iris.model, "1", *tag)
    model = {"name": iris.model, "latest": {"tags": dict([tag])}}
    iris.apply(model=model, rollout={**BLUE_GREEN, "keepWarm": "1s"})
    iris.serves("1")
    assert iris.status["wanted"] == "1 (latest)"
    with iris.load() as load:
        for version in ("2", "3"):
            registry.set_tag(iris.model, version, *tag)
            iris.serves(version)
        iris.until(lambda: "previous" not in iris.status, "only version 3 is left", within=90)
        assert "version 1 is brought up again" in iris.headgate("undo", "--to", "1")
        iris.serves("1")
        iris.answered(load, "1")
    assert load.lost == []
    assert iris.condition("Ready")[:2] == ("True", "HeldByUndo")


class Receiver:
    """Webhooks and notifications on a loopback port; `approve` is what the bot answers."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, Any]]] = []
        self.approve = False
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.got.append((self.path, json.loads(body)))
                answer = json.dumps({"approve": receiver.approve, "message": "says the bot"}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                """Tests read `got`, not a log."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_address[1]}"

    def at(self, path: str) -> list[dict[str, Any]]:
        return [body for where, body in list(self.got) if where == path]


@contextmanager
def receiving(lab: Lab) -> Iterator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever, daemon=True)
    thread.start()
    address = lab.folder / "notify-url"
    address.write_text(f"http://{receiver.host}/outcomes\n")
    lab.stop_operator()
    lab.start_operator("--allow-webhook", receiver.host, "--notify-url-file", str(address))
    try:
        yield receiver
    finally:
        lab.stop_operator()
        lab.start_operator()
        receiver.server.shutdown()
        receiver.server.server_close()
        thread.join()


def test_a_promotion_waits_for_its_webhook_and_outcomes_are_told(lab: Lab, iris: Subject) -> None:
    with receiving(lab) as receiver:
        hook = {"name": "bot", "url": f"http://{receiver.host}/approve", "when": "BeforePromotion"}
        iris.goes_live(rollout=BLUE_GREEN, analysis={"webhooks": [hook]})
        assert receiver.at("/approve") == []
        iris.release()
        assert "says the bot" in iris.until(
            lambda: said if "does not approve" in (said := iris.condition("Progressing")[2]) else None,
            "the bot says no",
        )
        assert iris.ask().version == "1"
        receiver.approve = True
        iris.serves("2")
        assert [answer["outcome"] for answer in iris.status["webhooks"]] == ["Approved"]
        ids = {asked["id"] for asked in receiver.at("/approve")}
        assert len(ids) == 1, "one question, asked again"
        iris.until(lambda: len(receiver.at("/outcomes")) >= 4, "everything is told")
        mine = [told["reason"] for told in receiver.at("/outcomes") if told["namespace"] == iris.namespace]
        assert mine == ["RolloutStarted", "Promoted", "RolloutStarted", "Promoted"]
        assert lab.metric('headgate_notifications_total{result="sent",sink="json"}') >= 4
