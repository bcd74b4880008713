"""An abort in the middle of a canary, in real pods: when the last client is rid of the candidate.

HEADGATE_ABORT_ROUNDS says how many aborts the figures are of; `-s` prints each.
"""

import time

import pytest

from abort_rounds import CANARY, ROUNDS, aborted, orders_through, told
from cluster_lab import Lab
from cluster_subject import Subject
from cluster_trial import Trial
from headgate_cli.demo.load import Load


@pytest.mark.timeout(120 * (ROUNDS + 1))
def test_after_an_abort_no_client_stays_with_the_candidate(lab: Lab, iris: Subject, trial: Trial) -> None:
    iris.goes_live("1", rollout=CANARY)
    with orders_through(lab.platform.kubeconfig) as orders, Load(iris.outside()) as load:
        # kube-proxy needs a moment after the first pod is Ready.
        iris.until(lambda: {a.pooled for a in list(load.tally.answers) if not a.lost} == {True, False}, "it is reached")
        counted = time.monotonic()
        rounds = [aborted(iris, lab.wire, load, orders, iris.release("2")) for _ in range(ROUNDS)]
    assert [answer for answer in load.tally.lost() if answer.began >= counted] == []
    assert set(iris.outcomes()[1:]) == {"RolledBack"}
    assert max(seen.after_drain for seen in rounds) == 0
    print(*told(rounds), sep="\n")
    trial.row.sent = sum(answer.began >= counted for answer in load.tally.answers)
    trial.remark(f"{ROUNDS} aborts, seconds from the command to the last request that the candidate answered")
    trial.remark("; ".join(line for line in told(rounds) if line.startswith(("fresh", "pooled"))))
    trial.rests_with(Ready="False", UpToDate="False", Stalled="True")
