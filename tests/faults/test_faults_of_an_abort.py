"""An abort in the middle of a canary: when the last client is rid of the candidate, over which kind of connection.

The figures are printed (`-s`), not asserted; HEADGATE_ABORT_ROUNDS says how many aborts they are of.
"""

from abort_rounds import CANARY, ROUNDS, aborted, orders_through, told
from fault_lab import Subject
from headgate_cli.demo.load import Load


def test_after_an_abort_no_client_stays_with_the_candidate(iris: Subject) -> None:
    iris.goes_live(replicas=2, rollout=CANARY)
    wire = iris.lab.wire
    with orders_through(iris.lab.state / "kubeconfig") as orders, Load(iris.url.removesuffix("/predict")) as load:
        rounds = [aborted(iris, wire, load, orders, iris.release()) for _ in range(ROUNDS)]
    assert [lost.lost for lost in load.tally.lost()] == []
    assert iris.outcomes()[-1] == "RolledBack"
    assert max(seen.after_drain for seen in rounds) == 0
    print(*told(rounds), sep="\n")
