"""Addresses: one spelling each, and none that nobody allowed."""

import ast
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate_operator.egress import is_public_enough
from headgate_operator.registry import AllowList, NotAllowedError, normalised
from headgate_operator.registry.facts import chunks, is_plain


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("http://mlflow:5000", "http://mlflow:5000"),
        ("http://mlflow:5000/", "http://mlflow:5000"),
        ("HTTP://MLflow:5000", "http://mlflow:5000"),
        ("http://mlflow:80/", "http://mlflow"),
        ("https://mlflow:443/prefix/", "https://mlflow/prefix"),
        (" http://[fd00::1]:5000 ", "http://[fd00::1]:5000"),
    ],
)
def test_every_spelling_of_an_address_is_one(given: str, shown: str) -> None:
    assert normalised(given) == shown


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "mlflow:5000",
        "file:///etc/passwd",
        "http://",
        "http://user:pw@mlflow",
        "http://mlflow?x=1",
        "http://mlflow#x",
        "http://mlflow:99999",
        "http://[::1",
    ],
)
def test_what_is_no_plain_http_address_is_refused(uri: str) -> None:
    with pytest.raises(NotAllowedError):
        normalised(uri)


def test_the_list_compares_whole_addresses() -> None:
    allowed = AllowList("http://mlflow:5000", ["https://team.example/mlflow"])
    assert allowed.check(None) == "http://mlflow:5000"
    assert allowed.check("http://mlflow:5000/") == "http://mlflow:5000"
    assert allowed.check("https://team.example:443/mlflow/") == "https://team.example/mlflow"
    for other in (
        "http://mlflow:5001",
        "https://mlflow:5000",
        "http://mlflow.evil:5000",
        "https://team.example/other",
        "https://team.example/mlflow/../x",
    ):
        with pytest.raises(NotAllowedError, match="--allow-registry"):
            allowed.check(other)


def test_a_list_without_an_own_address_means_its_only_one() -> None:
    given = {"what": "Prometheus", "flag": "--allow-prometheus"}
    assert AllowList(None, ["http://prometheus:9090/"], **given).check(None) == "http://prometheus:9090"
    for several in ([], ["http://one", "http://two"]):
        with pytest.raises(NotAllowedError, match="which Prometheus"):
            AllowList(None, several, **given).check(None)
    with pytest.raises(NotAllowedError, match="--allow-prometheus"):
        AllowList(None, [], **given).check("http://prometheus:9090")
    with pytest.raises(NotAllowedError, match="a Prometheus address carries no user"):
        AllowList(None, ["http://me:secret@prometheus"], **given)


@pytest.mark.parametrize(
    ("address", "fine"),
    [
        ("10.1.2.3", True),
        ("192.168.0.7", True),
        ("8.8.8.8", True),
        ("fd00::1", True),
        ("127.0.0.1", False),
        ("127.9.9.9", False),
        ("169.254.169.254", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:169.254.169.254", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
    ],
)
def test_names_may_lead_to_private_networks_but_not_to_this_machine_or_its_metadata(address: str, fine: bool) -> None:
    assert is_public_enough(address) is fine


@given(st.sets(st.text(min_size=1, max_size=60).filter(is_plain), max_size=500))
def test_questions_name_every_model_once_and_stay_short(names: set[str]) -> None:
    asked: list[str] = []
    for question in chunks(names):
        assert len(quote(question)) < 4000
        named = ast.literal_eval(question.removeprefix("name IN ")[:-1] + ",)")  # as MLflow reads it
        assert len(named) <= 200
        asked += named
    assert sorted(asked) == sorted(names)
