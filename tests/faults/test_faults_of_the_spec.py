"""What a user can write wrongly, and what tells them so."""

import pytest

from fault_lab import Subject


def test_an_unknown_field_is_refused_by_a_strict_kubectl_and_named(iris: Subject) -> None:
    said = iris.kubectl("apply", "--validate=strict", "-f", "-", given=iris.manifest(replica=3), code=1)
    assert 'unknown field "spec.replica"' in said
    assert iris.read() == {}


def test_an_unknown_field_is_pruned_with_a_warning_where_kubectl_only_warns(iris: Subject) -> None:
    said = iris.kubectl("apply", "--validate=warn", "-f", "-", given=iris.manifest(replica=3))
    assert 'unknown field "spec.replica"' in said
    assert "replica" not in iris.read()["spec"]


@pytest.mark.parametrize(
    ("model", "words"),
    [
        pytest.param({"alias": "champion", "version": "1"}, "exactly one of", id="two selectors"),
        pytest.param({}, "exactly one of", id="no selector"),
        pytest.param({"alias": "latest"}, "latest", id="an alias that MLflow does not allow"),
    ],
)
def test_a_model_reference_that_cannot_work_is_refused_with_what_to_write(
    iris: Subject, model: dict[str, str], words: str
) -> None:
    manifest = iris.manifest(model={"name": iris.model, **model})
    said = iris.kubectl("apply", "-f", "-", given=manifest, code=1)
    assert words in said
    assert "spec.model" in said
    assert iris.read() == {}


def test_an_alias_that_does_not_exist_is_named_and_goes_live_once_it_is_set(iris: Subject) -> None:
    iris.lab.register(iris.model, alias="")
    iris.apply()
    assert iris.waits_for("ModelResolved", "False", "AliasNotFound").startswith(
        f"model {iris.model} has no alias champion"
    )
    assert iris.condition("Ready")[:2] == ("False", "AliasNotFound")
    assert iris.condition("Available")[:2] == ("False", "NoVersionYet")
    assert iris.pods() == []
    assert iris.ask().status == 0
    assert "champion" in iris.events()["AliasNotFound"]

    iris.lab.registry.set_alias(iris.model, "champion", "1")
    iris.serves("1")
    assert iris.condition("Ready")[:2] == ("True", "AsWanted")


def test_a_model_name_with_spaces_works_from_the_registry_to_the_answer(iris: Subject) -> None:
    name = f"iris of {iris.namespace} (v2)"
    iris.lab.register(name)
    iris.apply(model={"name": name, "version": "1"})
    iris.serves("1")
    assert iris.ask().body["model"] == name
    assert name in iris.kubectl("get", "mdep", iris.name)
