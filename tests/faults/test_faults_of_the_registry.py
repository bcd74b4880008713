"""The registry has a bad day: what is new waits and says why, what serves keeps serving."""

from collections.abc import Iterator

import pytest

from fault_lab import Lab, Subject


@pytest.fixture(scope="module")
def serving(lab: Lab) -> Iterator[Subject]:
    """A model that has been serving since before the trouble."""
    with lab.subject("veteran") as subject:
        subject.goes_live()
        yield subject


@pytest.mark.parametrize(
    ("fault", "reason", "words"),
    [
        ("401", "RegistryUnauthorized", "credentials"),
        ("403", "RegistryUnauthorized", "permission"),
        ("host", "RegistryHostRejected", "--allowed-hosts"),
        ("500", "RegistryUnreachable", "500"),
        ("html", "RegistryUnreachable", "MLflow"),
        ("refused", "RegistryUnreachable", "connect"),
    ],
)
def test_a_first_deployment_waits_for_a_broken_registry_and_what_serves_keeps_serving(
    iris: Subject, serving: Subject, fault: str, reason: str, words: str
) -> None:
    iris.release()
    pods = serving.pods()
    with iris.lab.registry_fails(fault):
        iris.apply()
        message = iris.waits_for("ModelResolved", "Unknown", reason)
        assert words in message
        assert iris.condition("Ready") == ("False", reason, message)
        assert iris.condition("Stalled")[0] == "False"
        assert iris.condition("Available")[0] == "False"
        assert iris.events()[reason] == message
        assert iris.children("Deployment") == []

        serving.waits_for("ModelResolved", "Unknown", reason)
        assert serving.condition("Ready")[0] == "True"
        assert serving.condition("Available")[0] == "True"
        assert serving.ask().version == "1"
    iris.serves("1")
    serving.waits_for("ModelResolved", "True", "Resolved")
    assert serving.pods() == pods


def test_a_registry_that_hangs_holds_up_nobody_else(iris: Subject, serving: Subject) -> None:
    iris.release()
    with iris.lab.registry_fails("hang"):
        iris.apply()
        serving.kubectl("set", "selector", "service", serving.name, "app=nowhere")
        serving.until(lambda: serving.ask().version == "1", "a repair needs no registry")
        assert "in time" in iris.waits_for("ModelResolved", "Unknown", "RegistryUnreachable")
    iris.serves("1")
    serving.serves("1")


def test_an_alias_that_is_deleted_takes_nothing_away(iris: Subject) -> None:
    iris.goes_live()
    pods = iris.pods()
    iris.lab.registry.delete_alias(iris.model, "champion")
    assert "what serves keeps serving" in iris.waits_for("Ready", "False", "AliasNotFound")
    assert iris.condition("Available")[0] == "True"
    assert iris.condition("Stalled")[0] == "False"
    assert iris.ask().version == "1"

    iris.lab.registry.set_alias(iris.model, "champion", "1")
    iris.waits_for("Ready", "True", "AsWanted")
    assert iris.pods() == pods
    assert iris.outcomes() == ["Promoted"]


def test_a_version_that_is_deleted_takes_nothing_away(iris: Subject) -> None:
    iris.release()
    iris.apply(model={"name": iris.model, "version": "1"})
    iris.serves("1")
    pods = iris.pods()
    iris.lab.registry.delete_version(iris.model, "1")
    assert f"{iris.model} has no version 1" in iris.waits_for("Ready", "False", "VersionNotFound")
    assert iris.condition("Available")[0] == "True"
    assert iris.ask().version == "1"
    assert iris.pods() == pods
