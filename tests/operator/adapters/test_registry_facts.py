"""A registry that answers strangely is strange about one version, and never a defect of ours."""

from typing import Any

import pytest

from headgate_operator.api.model import ByAlias, ByLatest, ByStage, ByVersion
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
    assert facts.found("http://mlflow", [good, bad], models, [PLAIN]) == {good: identity}


def version(number: int, **facts_of_it: Any) -> dict[str, Any]:
    return {**PLAIN, "version": str(number), "status": "READY", "current_stage": "None", **facts_of_it}


APPROVED = [{"key": "validation_status", "value": "approved"}, {"key": "other", "value": ""}]


@pytest.mark.parametrize(
    ("ref", "number"),
    [
        (ByStage("Production"), "9"),
        (ByStage("Staging"), None),
        (ByStage("None"), "10"),
        (ByLatest(), "10"),
        (ByLatest((("validation_status", "approved"),)), "9"),
        (ByLatest((("other", ""), ("validation_status", "approved"))), "9"),
        (ByLatest((("other", "x"), ("validation_status", "approved"))), None),
    ],
)
def test_the_newest_that_fits_is_the_one_with_the_highest_number(ref: ByStage | ByLatest, number: str | None) -> None:
    versions = [
        version(9, current_stage="Production", tags=APPROVED),
        version(10),
        version(2, current_stage="Production", tags=APPROVED, last_updated_timestamp=10**14),
        version(11, current_stage="Production", tags=APPROVED, status="PENDING_REGISTRATION"),
    ]
    found = facts.newest(versions, ref)
    assert (found or {}).get("version") == number


def test_a_strange_version_leaves_only_the_questions_open_that_it_might_answer() -> None:
    newest, tagged, third = ("iris", ByLatest()), ("iris", ByLatest((("a", "b"),))), ("iris", ByVersion("3"))
    strange = version(4, source="s" * 5000)
    answers = facts.found("http://mlflow", [newest, tagged, third], {}, [strange, PLAIN])
    assert list(answers) == [third]


@pytest.mark.parametrize(("name", "asked"), [("a b", "name = 'a b'"), ("it's", 'name = "it\'s"'), ("'\"", None)])
def test_a_name_is_searched_for_in_quotes_that_it_does_not_contain(name: str, asked: str | None) -> None:
    assert facts.search_for(name) == asked
