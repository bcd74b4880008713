"""Webhooks: before a promotion each has to say yes; of a rollback they are told, and nothing waits for that."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from core_lab import Lab, serving
from headgate_operator.api.codec import to_json
from headgate_operator.api.webhooks import WebhookSpec, When
from headgate_operator.core.observed import PodNotReady
from headgate_operator.core.replies import NoReply, Replied
from headgate_operator.core.webhooks import LONGEST_MESSAGE, TOLD_AT_MOST

BROKEN = PodNotReady(reason="LoadFailed", permanent=True, message="cannot unpickle")
YES, NO, SILENT = Replied(True, "go"), Replied(False, "not before Monday"), NoReply("answers HTTP 503")


def hook(name: str = "bot", when: When = When.BEFORE_PROMOTION) -> WebhookSpec:
    return WebhookSpec(name=name, url=f"https://{name}.example.com/x", when=when)


def with_hooks(*hooks: WebhookSpec) -> Lab:
    lab = serving()
    lab.edit(webhooks=hooks)
    return lab.settle()


def recorded(lab: Lab) -> list[tuple[str, int, str, int]]:
    return [(result.name, result.rollout, str(result.outcome), result.attempts) for result in lab.status.webhooks]


def test_the_first_version_asks_nobody() -> None:
    lab = Lab()
    lab.edit(webhooks=(hook(),))
    lab.settle()
    assert (lab.stable, lab.asked) == ("1", [])


def test_a_yes_lets_the_traffic_go_and_is_recorded() -> None:
    lab = with_hooks(hook())
    lab.want("2")
    lab.settle()
    assert (lab.stable, lab.candidate) == ("1", "2")
    assert lab.condition("Progressing").message == "version 2: webhook bot is asked"
    assert lab.said("Progressing") == ("True", "WaitingForWebhook")
    lab.webhooks["bot"] = YES
    lab.settle()
    assert (lab.stable, lab.selected) == ("2", "2")
    assert recorded(lab) == [("bot", 2, "Approved", 1)]
    assert lab.status.webhooks[0].message == "go"
    assert lab.status.webhooks[0].again is None


def test_what_is_asked_says_what_is_about_to_happen() -> None:
    lab = with_hooks(hook())
    lab.want("2")
    lab.settle()
    (question,) = lab.asked
    assert (question.id, question.attempt) == ("uid-1/2/bot", 1)
    facts = json.loads(json.dumps(question.facts))
    assert {key: facts[key] for key in ("when", "namespace", "name", "model", "rollout", "reason")} == {
        "when": "BeforePromotion",
        "namespace": "default",
        "name": "iris",
        "model": "iris-classifier",
        "rollout": 2,
        "reason": "AliasMoved",
    }
    assert (facts["from"]["version"], facts["to"]["version"]) == ("1", "2")


def test_it_is_asked_only_when_everything_else_has_been_shown() -> None:
    lab = with_hooks(hook())
    lab.rollout(min_duration=timedelta(seconds=60))
    lab.want("2")
    lab.wait(50)
    assert lab.asked == []
    lab.wait(20)
    assert len(lab.asked) == 1


@pytest.mark.parametrize(("reply", "outcome"), [(NO, "Refused"), (SILENT, "NoAnswer")])
def test_a_no_and_silence_wait_and_are_asked_again_more_and_more_rarely(reply: Replied | NoReply, outcome: str) -> None:
    lab = with_hooks(hook())
    lab.webhooks["bot"] = reply
    lab.want("2")
    lab.settle()
    assert (lab.stable, recorded(lab)) == ("1", [("bot", 2, outcome, 1)])
    assert reply.message in lab.condition("Progressing").message
    lab.wait(1000)
    assert (lab.stable, lab.candidate, lab.quarantine) == ("1", "2", [])
    assert 7 <= len(lab.asked) <= 10, "5 s, 10 s, 20 s, ..., then every five minutes"
    lab.webhooks["bot"] = YES
    lab.wait(310)
    assert lab.stable == "2"


def test_every_webhook_has_to_say_yes() -> None:
    lab = with_hooks(hook("first"), hook("second"))
    lab.webhooks |= {"first": YES, "second": NO}
    lab.want("2")
    lab.settle()
    assert lab.stable == "1"
    assert lab.condition("Progressing").message.startswith("version 2: webhook second does not approve")
    lab.webhooks["second"] = YES
    lab.wait(60)
    assert lab.stable == "2"
    assert len([question for question in lab.asked if question.hook.name == "first"]) == 1


def test_another_version_is_another_question() -> None:
    lab = with_hooks(hook())
    lab.webhooks["bot"] = NO
    lab.want("2")
    lab.settle()
    lab.want("3")
    lab.settle()
    assert [question.id for question in lab.asked] == ["uid-1/2/bot", "uid-1/3/bot"]
    assert recorded(lab) == [("bot", 3, "Refused", 1)]


def test_an_answer_to_an_earlier_attempt_changes_nothing() -> None:
    lab = with_hooks(hook())
    lab.webhooks["bot"] = NO
    lab.want("2")
    lab.settle()
    lab.webhooks["bot"] = YES
    lab.step()
    assert recorded(lab) == [("bot", 2, "Refused", 1)], "it is not asked again yet"


def test_a_webhook_that_is_taken_away_is_waited_for_no_longer_and_forgotten() -> None:
    lab = with_hooks(hook())
    lab.webhooks["bot"] = SILENT
    lab.want("2")
    lab.wait(30)
    lab.edit(webhooks=())
    lab.settle()
    assert (lab.stable, lab.status.webhooks) == ("2", ())


def test_a_pause_asks_nobody() -> None:
    lab = with_hooks(hook())
    lab.order("pause")
    lab.settle()
    lab.want("2")
    lab.wait(60)
    assert lab.asked == []


def test_an_undo_asks_nobody() -> None:
    lab = with_hooks(hook())
    lab.webhooks["bot"] = YES
    lab.want("2")
    lab.wait(700)
    lab.webhooks["bot"] = NO
    asked = len(lab.asked)
    lab.order("undo")
    lab.wait(30)
    assert (lab.stable, len(lab.asked)) == ("1", asked)


def test_a_rollback_is_told_with_its_reason() -> None:
    lab = with_hooks(hook("page", When.ON_ROLLBACK))
    lab.webhooks["page"] = Replied(False)
    lab.behaves("2", says=BROKEN)
    lab.want("2")
    lab.settle()
    assert lab.outcomes[-1] == "RolledBack"
    (question,) = lab.asked
    assert (question.facts["outcome"], question.facts["to"]["version"]) == ("RolledBack", "2")
    assert "cannot unpickle" in question.facts["message"]
    assert recorded(lab) == [("page", 2, "Delivered", 1)]
    lab.wait(3000)
    assert len(lab.asked) == 1


def test_telling_of_a_rollback_is_given_up_after_a_few_tries_and_delays_nothing() -> None:
    lab = with_hooks(hook("page", When.ON_ROLLBACK))
    lab.webhooks["page"] = SILENT
    lab.behaves("2", says=BROKEN)
    lab.want("2")
    lab.settle()
    assert (lab.stable, lab.status.rollout) == ("1", None)
    lab.wait(3000)
    assert recorded(lab) == [("page", 2, "NoAnswer", TOLD_AT_MOST)]
    assert lab.status.webhooks[0].again is None
    lab.want("3")
    lab.wait(5)
    assert lab.stable == "3"


def test_a_rollback_of_long_ago_is_no_news_to_a_new_webhook() -> None:
    lab = serving()
    lab.behaves("2", says=BROKEN)
    lab.want("2")
    lab.wait(1000)
    lab.edit(webhooks=(hook("page", When.ON_ROLLBACK),))
    lab.wait(30)
    assert lab.asked == []


def test_what_is_kept_of_answers_is_small() -> None:
    lab = with_hooks(*(hook(f"bot-{number}") for number in range(8)))
    for number in range(8):
        lab.webhooks[f"bot-{number}"] = Replied(False, "x" * 1000)
    lab.want("2")
    lab.wait(300)
    assert {len(result.message or "") for result in lab.status.webhooks} == {LONGEST_MESSAGE}
    assert len(json.dumps(to_json(lab.status)["webhooks"])) < 5000


def test_at_rest_nothing_is_asked_written_or_waited_for() -> None:
    lab = with_hooks(hook(), hook("page", When.ON_ROLLBACK))
    lab.webhooks |= {"bot": YES, "page": YES}
    lab.want("2")
    lab.wait(2000)
    status, asked = lab.status, len(lab.asked)
    lab.wait(5000)
    assert (lab.status, len(lab.asked)) == (status, asked)
