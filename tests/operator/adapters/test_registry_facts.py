"""A registry that answers strangely is strange about one version, and never a defect of ours."""

from typing import Any

import pytest

from headgate_operator.api.model import ByAlias
from headgate_operator.registry import facts

PLAIN = {"name": "iris", "version": "3", "source": "s3://b/m", "creation_timestamp": 1760000000000, "run_id": "r"}


@pytest.mark.parametrize(
    "version",
    [
        None,
        [],
        {},
        {**PLAIN, "creation_timestamp": 10**18},
        {**PLAIN, "version": "9" * 20},
        {**PLAIN, "source": "s" * 4097},
        {**PLAIN, "run_id": "r" * 257},
    ],
)
def test_a_version_that_status_cannot_hold_is_strange(version: Any) -> None:
    with pytest.raises(facts.STRANGE):
        facts.identity_of("http://mlflow", version)


def test_half_a_surrogate_pair_in_a_source_is_read_as_an_api_server_keeps_it() -> None:
    assert facts.identity_of("http://mlflow", {**PLAIN, "source": "a\ud800"}).source == "a\ufffd"


def test_strange_aliases_of_one_model_leave_only_its_question_open() -> None:
    good, bad = ("iris", ByAlias("champion")), ("rose", ByAlias("champion"))
    models = {"iris": {"aliases": [{"alias": "champion", "version": "3"}]}, "rose": {"aliases": ["x"]}}
    identity = facts.identity_of("http://mlflow", PLAIN)
    assert facts.found([good, bad], models, {("iris", "3"): identity}) == {good: identity}
