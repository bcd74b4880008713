"""CEL rules of a custom resource: when they hold, when they are looked at, and how a refusal reads."""

from __future__ import annotations

from kube_manifests import Namespace, fresh, gadget
from kube_wire import Wire


def made(api: Wire, ns: Namespace, **spec: object) -> str:
    name = fresh("ruled")
    api.create(ns("gadgets"), gadget(name, **{"code": "ab", **spec}))
    return ns("gadgets", name)


def test_a_rule_that_fails_names_the_place_and_says_its_message(api: Wire, ns: Namespace) -> None:
    answer = api.post(ns("gadgets"), gadget(code="ab", source={}))
    assert (answer.status, answer.reason) == (422, "Invalid")
    assert answer.causes == [
        {
            "reason": "FieldValueInvalid",
            "message": "Invalid value: give exactly one of version and alias",
            "field": "spec.source",
        }
    ]


def test_a_rule_that_holds_lets_the_object_pass(api: Wire, ns: Namespace) -> None:
    assert api.post(ns("gadgets"), gadget(code="ab", source={"alias": "champion"})).status == 201
    both = gadget(code="ab", source={"alias": "champion", "version": "1"})
    assert api.post(ns("gadgets"), both).status == 422


def test_a_rule_of_a_scalar_tells_the_value_too(api: Wire, ns: Namespace) -> None:
    # Surprising: the value is told for scalars only, not for objects and lists.
    answer = api.post(ns("gadgets"), gadget(code="ab", wait="61m"))
    assert answer.causes[0]["message"] == 'Invalid value: "61m": at most 1h'
    assert answer.fields == {"spec.wait"}


def test_durations_are_understood_by_rules(api: Wire, ns: Namespace) -> None:
    for wait in ("0s", "1h", "59m59.5s", "100ms"):
        assert api.post(ns("gadgets"), gadget(code="ab", wait=wait)).status == 201, wait


def test_a_rule_over_a_list_looks_at_every_item(api: Wire, ns: Namespace) -> None:
    answer = api.post(ns("gadgets"), gadget(code="ab", steps=[{"weight": 10}, {"weight": 101}]))
    assert (answer.status, answer.fields) == (422, {"spec.steps"})
    assert answer.causes[0]["message"] == "Invalid value: a weight is at most 100"


def test_a_message_expression_makes_the_message(api: Wire, ns: Namespace) -> None:
    answer = api.post(ns("gadgets"), gadget(code="ab", word="never"))
    assert answer.causes[0]["message"] == 'Invalid value: "never": the word never is refused'


def test_the_name_can_be_ruled_at_the_root(api: Wire, ns: Namespace) -> None:
    answer = api.post(ns("gadgets"), gadget("n" * 31, code="ab"))
    assert (answer.status, answer.reason) == (422, "Invalid")
    # Surprising: the root has no path, and says so in this way.
    assert answer.fields == {"<nil>"}
    assert answer.causes[0]["message"] == "Invalid value: the name may have at most 30 characters"


def test_several_rules_are_told_at_once(api: Wire, ns: Namespace) -> None:
    answer = api.post(ns("gadgets"), gadget(code="ab", source={}, word="never", wait="2h"))
    assert answer.fields == {"spec.source", "spec.word", "spec.wait"}


def test_a_transition_rule_is_not_asked_at_creation(api: Wire, ns: Namespace) -> None:
    assert api.post(ns("gadgets"), gadget(code="ab", fixed="one")).status == 201


def test_a_transition_rule_refuses_a_change(api: Wire, ns: Namespace) -> None:
    path = made(api, ns, fixed="one")
    answer = api.patch(path, {"spec": {"fixed": "two"}})
    assert (answer.status, answer.fields) == (422, {"spec.fixed"})
    assert answer.causes[0]["message"] == 'Invalid value: "two": fixed cannot be changed'
    assert api.patch(path, {"spec": {"code": "cd"}}).status == 200


def test_a_transition_rule_is_not_asked_where_the_field_comes_or_goes(api: Wire, ns: Namespace) -> None:
    path = made(api, ns)
    assert api.patch(path, {"spec": {"fixed": "one"}}).status == 200
    assert api.patch(path, {"spec": {"fixed": None}}).status == 200


def test_rules_hold_for_every_kind_of_write(api: Wire, ns: Namespace) -> None:
    path = made(api, ns)
    seen = api.read(path)
    assert api.patch(path, {"spec": {"word": "never"}}).status == 422
    assert api.put(path, {**seen, "spec": {**seen["spec"], "word": "never"}}).status == 422
    assert api.apply(path, gadget(seen["metadata"]["name"], code="ab", word="never")).status == 422


def test_a_status_write_does_not_stumble_over_an_unchanged_spec(api: Wire, ns: Namespace) -> None:
    path = made(api, ns, fixed="one", wait="1h")
    assert api.patch(path + "/status", {"status": {"note": "x"}}).status == 200
