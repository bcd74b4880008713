"""PodDisruptionBudgets: what is taken, what the controller tells of them, and evictions that ask them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from kube_manifests import Namespace, budget, deployment, eviction, fresh, pod
from kube_wire import STRATEGIC, Answer, Obj, Wire, eventually

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
ALLOWED = "DisruptionAllowed"
REFUSED = "Cannot evict pod as it would violate the pod's disruption budget."

Start = Callable[[int], str]


def condition(obj: Obj, kind: str) -> Obj:
    return next((one for one in obj["status"].get("conditions", []) if one["type"] == kind), {})


def labels(name: str) -> Obj:
    return {"matchLabels": {"app": name}}


def counts(status: Obj) -> tuple[int, int, int, int]:
    return status["expectedPods"], status["currentHealthy"], status["desiredHealthy"], status["disruptionsAllowed"]


def counted(api: Wire, ns: Namespace, name: str, *wanted: int) -> Obj:
    """The budget as soon as its status says expected, healthy, desired and allowed."""

    def look() -> Obj | None:
        seen = api.read(ns("poddisruptionbudgets", name))
        current = seen["status"].get("observedGeneration") == seen["metadata"]["generation"]
        return seen if current and counts(seen["status"]) == wanted else None

    return eventually(look, f"{name} counts {wanted}")


def evict(api: Wire, ns: Namespace, name: str, **query: str) -> Answer:
    return api.post(ns("pods", name, "eviction"), eviction(name), **query)


def pods_of(api: Wire, ns: Namespace, app: str) -> list[Obj]:
    items = api.get(ns("pods"), labelSelector=f"app={app}").body["items"]
    return [item for item in items if "deletionTimestamp" not in item["metadata"]]


@pytest.fixture
def start(api: Wire, ns: Namespace, sleeping_pod_image: Obj) -> Iterator[Start]:
    """Deployments whose pods run; given is how many, what comes back is the name, which is also the label `app`."""
    made: list[str] = []

    def run(replicas: int, **container: Obj) -> str:
        name = fresh("guarded")
        wanted = deployment(name, replicas=replicas)
        wanted["spec"]["template"]["spec"] = pod(name, {**sleeping_pod_image, **container})["spec"]
        made.append(name)
        api.create(ns("deployments"), wanted)
        if not container:
            eventually(
                lambda: api.read(ns("deployments", name))["status"].get("availableReplicas") == replicas,
                f"{replicas} pods of {name} are available",
            )
        return name

    yield run
    for name in made:
        api.delete(ns("deployments", name))


# --- the kind -------------------------------------------------------------------------------------------------------


def test_a_new_budget_has_a_generation_and_counts_of_zero(api: Wire, ns: Namespace) -> None:
    name = fresh("budget")
    sent = budget(name, labels(name), maxUnavailable=1)
    made = api.create(ns("poddisruptionbudgets"), {**sent, "status": {"disruptionsAllowed": 7}})
    assert made["metadata"]["generation"] == 1
    assert made["spec"] == sent["spec"]
    assert made["status"] == {"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0}


def test_a_budget_may_say_nothing_at_all(api: Wire, ns: Namespace) -> None:
    assert api.post(ns("poddisruptionbudgets"), budget(fresh("budget")), dryRun="All").status == 201


def test_a_budget_cannot_have_a_minimum_and_a_maximum(api: Wire, ns: Namespace) -> None:
    name = fresh("budget")
    answer = api.post(ns("poddisruptionbudgets"), budget(name, labels(name), minAvailable=2, maxUnavailable=1))
    assert (answer.status, answer.reason, answer.fields) == (422, "Invalid", {"spec"})
    # Surprising: the message shows the server's own struct, not the sent fields.
    assert answer.message == (
        f'PodDisruptionBudget.policy "{name}" is invalid: spec: Invalid value: {{"MinAvailable":2,"Selector":'
        f'{{"matchLabels":{{"app":"{name}"}}}},"MaxUnavailable":1,"UnhealthyPodEvictionPolicy":null}}:'
        " minAvailable and maxUnavailable cannot be both set"
    )


@pytest.mark.parametrize("field", ["minAvailable", "maxUnavailable"])
@pytest.mark.parametrize("value", [0, 3, "0%", "50%", "100%"])
def test_numbers_and_percentages_are_taken(api: Wire, ns: Namespace, field: str, value: int | str) -> None:
    answer = api.post(ns("poddisruptionbudgets"), budget(fresh("budget"), {}, **{field: value}), dryRun="All")
    assert (answer.status, answer.body["spec"][field]) == (201, value)


@pytest.mark.parametrize("field", ["minAvailable", "maxUnavailable"])
@pytest.mark.parametrize(
    ("value", "why"),
    [
        (-1, "must be greater than or equal to 0"),
        ("5", "a valid percent string must be a numeric string followed by an ending '%'"),
        ("-5%", "a valid percent string must be a numeric string followed by an ending '%'"),
        ("101%", "must not be greater than 100%"),
    ],
)
def test_other_numbers_are_refused(api: Wire, ns: Namespace, field: str, value: int | str, why: str) -> None:
    answer = api.post(ns("poddisruptionbudgets"), budget(fresh("budget"), {}, **{field: value}))
    assert (answer.status, answer.reason, answer.fields) == (422, "Invalid", {f"spec.{field}"})
    assert why in answer.message


def test_a_selector_that_selects_nothing_sensible_is_refused(api: Wire, ns: Namespace) -> None:
    terms = [
        {"key": "a", "operator": "Is"},
        {"key": "a", "operator": "In"},
        {"key": "a", "operator": "Exists", "values": ["x"]},
        {"key": "a b", "operator": "Exists"},
    ]
    answer = api.post(
        ns("poddisruptionbudgets"), budget(fresh("budget"), {"matchExpressions": terms}, maxUnavailable=1)
    )
    path = "spec.selector.matchExpressions"
    wanted = {f"{path}[0].operator", f"{path}[1].values", f"{path}[2].values", f"{path}[3].key"}
    assert (answer.status, answer.fields) == (422, wanted)


def test_an_unknown_policy_for_unhealthy_pods_is_refused(api: Wire, ns: Namespace) -> None:
    answer = api.post(ns("poddisruptionbudgets"), budget(fresh("budget"), {}, unhealthyPodEvictionPolicy="Never"))
    assert (answer.status, answer.fields) == (422, {"spec.unhealthyPodEvictionPolicy"})
    assert 'supported values: "AlwaysAllow", "IfHealthyBudget"' in answer.message


def test_everything_in_a_budget_may_change(api: Wire, ns: Namespace) -> None:
    name = fresh("budget")
    api.create(ns("poddisruptionbudgets"), budget(name, labels(name), maxUnavailable=1))
    change = {"maxUnavailable": None, "minAvailable": "50%", "selector": {"matchLabels": {"app": None, "tier": "x"}}}
    answer = api.patch(ns("poddisruptionbudgets", name), {"spec": change})
    assert answer.status == 200
    assert answer.body["spec"] == {"minAvailable": "50%", "selector": {"matchLabels": {"tier": "x"}}}
    assert answer.body["metadata"]["generation"] == 2


def test_a_replaced_budget_must_say_which_version_it_replaces(api: Wire, ns: Namespace) -> None:
    name = fresh("budget")
    api.create(ns("poddisruptionbudgets"), budget(name, labels(name), maxUnavailable=1))
    answer = api.put(ns("poddisruptionbudgets", name), budget(name, labels(name), maxUnavailable=2))
    assert (answer.status, answer.fields) == (422, {"metadata.resourceVersion"})


def test_a_strategic_patch_replaces_the_selector_as_a_whole(api: Wire, ns: Namespace) -> None:
    name = fresh("budget")
    api.create(ns("poddisruptionbudgets"), budget(name, labels(name), maxUnavailable=1))
    patch = {"spec": {"selector": {"matchLabels": {"tier": "x"}}}}
    answer = api.patch(ns("poddisruptionbudgets", name), patch, STRATEGIC)
    assert answer.body["spec"]["selector"] == {"matchLabels": {"tier": "x"}}


def test_an_applied_selector_is_owned_as_a_whole(api: Wire, ns: Namespace) -> None:
    name = fresh("budget")
    assert api.apply(ns("poddisruptionbudgets", name), budget(name, labels(name), maxUnavailable=1)).status == 201
    answer = api.apply(ns("poddisruptionbudgets", name), budget(name, {"matchLabels": {"tier": "x"}}))
    assert answer.body["spec"] == {"selector": {"matchLabels": {"tier": "x"}}}
    [mine] = [one for one in answer.body["metadata"]["managedFields"] if one["operation"] == "Apply"]
    assert mine["fieldsV1"] == {"f:spec": {"f:selector": {}}}


def test_the_status_door_changes_the_status_alone(api: Wire, ns: Namespace) -> None:
    name = fresh("budget")
    api.create(ns("poddisruptionbudgets"), budget(name, labels(name), maxUnavailable=1))
    counted(api, ns, name, 0, 0, 0, 0)
    answer = api.patch(
        ns("poddisruptionbudgets", name, "status"), {"spec": {"maxUnavailable": 9}, "status": {"expectedPods": 5}}
    )
    assert (answer.status, answer.body["spec"]["maxUnavailable"], answer.body["status"]["expectedPods"]) == (200, 1, 5)
    # The controller counts again, because the budget has changed.
    counted(api, ns, name, 0, 0, 0, 0)


def test_negative_counts_are_refused(api: Wire, ns: Namespace) -> None:
    name = fresh("budget")
    api.create(ns("poddisruptionbudgets"), budget(name, labels(name), maxUnavailable=1))
    answer = api.patch(ns("poddisruptionbudgets", name, "status"), {"status": {"disruptionsAllowed": -1}})
    assert (answer.status, answer.fields) == (422, {"status.disruptionsAllowed"})


def test_the_table_of_budgets_shows_numbers_and_percentages_as_text(api: Wire, ns: Namespace) -> None:
    one, two = fresh("table"), fresh("table")
    api.create(ns("poddisruptionbudgets"), budget(one, labels(one), maxUnavailable=1))
    api.create(ns("poddisruptionbudgets"), budget(two, labels(two), minAvailable="50%"))
    seen = api.get(ns("poddisruptionbudgets"), accept=TABLE).body
    names = [column["name"] for column in seen["columnDefinitions"]]
    assert names == ["Name", "Min Available", "Max Unavailable", "Allowed Disruptions", "Age"]
    cells = {row["cells"][0]: row["cells"][1:4] for row in seen["rows"]}
    assert cells[one] == ["N/A", "1", 0]
    assert cells[two] == ["50%", "N/A", 0]


# --- its status -----------------------------------------------------------------------------------------------------


def test_a_budget_without_pods_allows_nothing(api: Wire, ns: Namespace) -> None:
    name = fresh("budget")
    api.create(ns("poddisruptionbudgets"), budget(name, labels(name), maxUnavailable=1))
    seen = counted(api, ns, name, 0, 0, 0, 0)
    found = condition(seen, ALLOWED)
    assert (found["status"], found["reason"], found["message"]) == ("False", "InsufficientPods", "")
    assert found["observedGeneration"] == 1
    assert found["lastTransitionTime"]


def test_a_budget_counts_the_pods_of_a_deployment(api: Wire, ns: Namespace, start: Start) -> None:
    app = start(2)
    api.create(ns("poddisruptionbudgets"), budget(app, labels(app), maxUnavailable=1))
    found = condition(counted(api, ns, app, 2, 2, 1, 1), ALLOWED)
    assert (found["status"], found["reason"]) == ("True", "SufficientPods")
    for spec, wanted in (
        ({"maxUnavailable": 0}, (2, 2, 2, 0)),
        ({"maxUnavailable": 5}, (2, 2, 0, 2)),
        # A percentage is of the wanted pods and rounds up, for a maximum as for a minimum.
        ({"maxUnavailable": "30%"}, (2, 2, 1, 1)),
        ({"maxUnavailable": None, "minAvailable": "60%"}, (2, 2, 2, 0)),
        ({"minAvailable": 1}, (2, 2, 1, 1)),
        ({"minAvailable": 3}, (2, 2, 3, 0)),
    ):
        api.patch(ns("poddisruptionbudgets", app), {"spec": spec})
        counted(api, ns, app, *wanted)


def test_a_budget_follows_its_selector(api: Wire, ns: Namespace, start: Start) -> None:
    app = start(1)
    api.create(ns("poddisruptionbudgets"), budget(app, {"matchLabels": {"app": "nobody"}}, maxUnavailable=1))
    counted(api, ns, app, 0, 0, 0, 0)
    terms = [{"key": "app", "operator": "In", "values": [app, "other"]}]
    api.patch(ns("poddisruptionbudgets", app), {"spec": {"selector": {"matchLabels": None, "matchExpressions": terms}}})
    counted(api, ns, app, 1, 1, 0, 1)


def test_an_empty_selector_is_all_pods_and_none_is_no_pods(api: Wire, ns: Namespace, start: Start) -> None:
    start(1)
    everything, nothing = fresh("budget"), fresh("budget")
    api.create(ns("poddisruptionbudgets"), budget(everything, {}, minAvailable=0))
    api.create(ns("poddisruptionbudgets"), budget(nothing, minAvailable=0))
    try:
        eventually(
            lambda: api.read(ns("poddisruptionbudgets", everything))["status"]["currentHealthy"] >= 1,
            "the budget counts every pod of the namespace",
        )
        counted(api, ns, nothing, 0, 0, 0, 0)
    finally:
        api.delete(ns("poddisruptionbudgets", everything))


def test_pods_of_nobody_are_only_counted_for_a_whole_minimum(api: Wire, ns: Namespace, sleeping_pod_image: Obj) -> None:
    name = fresh("alone")
    api.create(ns("pods"), pod(name, sleeping_pod_image, app=name))
    api.create(ns("poddisruptionbudgets"), budget(name, labels(name), maxUnavailable=1))
    counted(api, ns, name, 0, 1, 0, 0)
    api.patch(ns("poddisruptionbudgets", name), {"spec": {"maxUnavailable": None, "minAvailable": 0}})
    counted(api, ns, name, 1, 1, 0, 1)
    api.delete(ns("pods", name), gracePeriodSeconds=0)


def test_pods_that_are_not_ready_are_not_healthy(api: Wire, ns: Namespace, start: Start) -> None:
    app = start(2, readinessProbe={"tcpSocket": {"port": 9}, "periodSeconds": 1})
    api.create(ns("poddisruptionbudgets"), budget(app, labels(app), maxUnavailable=1))
    counted(api, ns, app, 2, 0, 1, 0)


# --- evictions ------------------------------------------------------------------------------------------------------


def test_the_eviction_of_a_pod_is_found_in_discovery(api: Wire) -> None:
    resources = api.read("/api/v1")["resources"]
    [found] = [one for one in resources if one["name"] == "pods/eviction"]
    assert (found["group"], found["version"], found["kind"]) == ("policy", "v1", "Eviction")
    assert found["verbs"] == ["create"]


def test_an_evicted_pod_is_told_why_and_ends(api: Wire, ns: Namespace, start: Start) -> None:
    app = start(1)
    [one] = pods_of(api, ns, app)
    name, since = one["metadata"]["name"], api.read(ns("pods"))["metadata"]["resourceVersion"]
    with api.watch(ns("pods"), fieldSelector=f"metadata.name={name}", resourceVersion=since) as events:
        answer = evict(api, ns, name)
        first, second = next(events)["object"], next(events)["object"]
    assert (answer.status, answer.body["kind"], answer.body["status"]) == (201, "Status", "Success")
    found = condition(first, "DisruptionTarget")
    assert (found["status"], found["reason"]) == ("True", "EvictionByEvictionAPI")
    assert found["message"] == "Eviction API: evicting"
    assert "deletionTimestamp" not in first["metadata"]
    assert second["metadata"]["deletionGracePeriodSeconds"] == 5


def test_a_budget_lets_one_pod_go_and_then_no_other(api: Wire, ns: Namespace, sleeping_pod_image: Obj) -> None:
    # Pods of nobody, so that none takes the place of the first before the second is evicted.
    app = fresh("pair")
    first, second = f"{app}-0", f"{app}-1"
    for name in (first, second):
        api.create(ns("pods"), pod(name, sleeping_pod_image, app=app))
    api.create(ns("poddisruptionbudgets"), budget(app, labels(app), minAvailable=1))
    counted(api, ns, app, 2, 2, 1, 1)
    assert evict(api, ns, first).status == 201
    answer = evict(api, ns, second)
    assert (answer.status, answer.reason, answer.message) == (429, "TooManyRequests", REFUSED)
    [cause] = answer.causes
    assert cause["reason"] == "DisruptionBudget"
    assert cause["message"].startswith(f"The disruption budget {app} ")
    assert "deletionTimestamp" not in api.read(ns("pods", second))["metadata"]
    api.delete(ns("pods", second), gracePeriodSeconds=0)


def test_a_refused_eviction_says_how_many_pods_are_needed(api: Wire, ns: Namespace, start: Start) -> None:
    app = start(1)
    api.create(ns("poddisruptionbudgets"), budget(app, labels(app), minAvailable=1))
    counted(api, ns, app, 1, 1, 1, 0)
    [one] = pods_of(api, ns, app)
    answer = evict(api, ns, one["metadata"]["name"])
    assert (answer.status, answer.reason, answer.message) == (429, "TooManyRequests", REFUSED)
    why = f"The disruption budget {app} needs 1 healthy pods and has 1 currently"
    assert answer.body["details"] == {"causes": [{"reason": "DisruptionBudget", "message": why}]}
    assert "Retry-After" not in answer.headers


def test_an_evicted_pod_is_made_up_for_and_the_next_may_go(api: Wire, ns: Namespace, start: Start) -> None:
    app = start(2)
    api.create(ns("poddisruptionbudgets"), budget(app, labels(app), maxUnavailable=1))
    before = {one["metadata"]["name"] for one in pods_of(api, ns, app)}
    for name in sorted(before):
        counted(api, ns, app, 2, 2, 1, 1)
        assert evict(api, ns, name).status == 201
        eventually(lambda gone=name: api.get(ns("pods", gone)).status == 404, f"{name} is gone")
    seen = counted(api, ns, app, 2, 2, 1, 1)
    assert "disruptedPods" not in seen["status"]
    assert before.isdisjoint(one["metadata"]["name"] for one in pods_of(api, ns, app))


def test_two_budgets_over_one_pod_cannot_be_asked(api: Wire, ns: Namespace, start: Start) -> None:
    app = start(1)
    for name in (app, f"{app}-too"):
        api.create(ns("poddisruptionbudgets"), budget(name, labels(app), maxUnavailable=1))
    [one] = pods_of(api, ns, app)
    answer = evict(api, ns, one["metadata"]["name"])
    assert (answer.status, answer.reason) == (500, "")
    assert answer.message == (
        "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
    )


def test_a_dry_run_evicts_nothing_and_uses_nothing_up(api: Wire, ns: Namespace, start: Start) -> None:
    app = start(1)
    api.create(ns("poddisruptionbudgets"), budget(app, labels(app), maxUnavailable=1))
    counted(api, ns, app, 1, 1, 0, 1)
    [one] = pods_of(api, ns, app)
    name = one["metadata"]["name"]
    assert evict(api, ns, name, dryRun="All").status == 201
    assert api.post(ns("pods", name, "eviction"), eviction(name, dryRun=["All"])).status == 201
    assert "deletionTimestamp" not in api.read(ns("pods", name))["metadata"]
    counted(api, ns, app, 1, 1, 0, 1)


def test_a_dry_run_is_refused_as_the_real_one_would_be(api: Wire, ns: Namespace, start: Start) -> None:
    app = start(1)
    api.create(ns("poddisruptionbudgets"), budget(app, labels(app), maxUnavailable=0))
    counted(api, ns, app, 1, 1, 1, 0)
    [one] = pods_of(api, ns, app)
    assert evict(api, ns, one["metadata"]["name"], dryRun="All").status == 429


def test_an_eviction_can_be_bound_to_one_pod_in_one_version(api: Wire, ns: Namespace, start: Start) -> None:
    app = start(1)
    [one] = pods_of(api, ns, app)
    name = one["metadata"]["name"]
    path = ns("pods", name, "eviction")
    for wrong in ({"uid": "00000000-0000-0000-0000-000000000000"}, {"resourceVersion": "1"}):
        answer = api.post(path, eviction(name, preconditions=wrong))
        assert (answer.status, answer.reason) == (409, "Conflict")
        assert "in the precondition" in answer.message
    right = {
        "uid": one["metadata"]["uid"],
        "resourceVersion": api.read(ns("pods", name))["metadata"]["resourceVersion"],
    }
    assert api.post(path, eviction(name, preconditions=right)).status == 201


def test_an_eviction_can_shorten_the_grace(api: Wire, ns: Namespace, start: Start) -> None:
    app = start(1)
    [one] = pods_of(api, ns, app)
    name = one["metadata"]["name"]
    assert api.post(ns("pods", name, "eviction"), eviction(name, gracePeriodSeconds=0)).status == 201
    assert api.get(ns("pods", name)).status == 404


def test_a_pending_pod_is_evicted_whatever_its_budget_says(api: Wire, ns: Namespace) -> None:
    name = fresh("pending")
    spec = deployment(name)["spec"]["template"]["spec"]
    api.create(ns("pods"), {**pod(name, {}, app=name), "spec": spec})
    api.create(ns("poddisruptionbudgets"), budget(name, labels(name), minAvailable=1))
    assert evict(api, ns, name).status == 201
    assert api.get(ns("pods", name)).status == 404


def test_an_unready_pod_is_held_unless_the_budget_says_otherwise(api: Wire, ns: Namespace, start: Start) -> None:
    app = start(1, readinessProbe={"tcpSocket": {"port": 9}, "periodSeconds": 1})
    api.create(ns("poddisruptionbudgets"), budget(app, labels(app), maxUnavailable=0))
    counted(api, ns, app, 1, 0, 1, 0)
    [one] = pods_of(api, ns, app)
    name = one["metadata"]["name"]
    eventually(lambda: api.read(ns("pods", name))["status"]["phase"] == "Running", f"{name} runs")
    assert evict(api, ns, name).status == 429
    api.patch(ns("poddisruptionbudgets", app), {"spec": {"unhealthyPodEvictionPolicy": "AlwaysAllow"}})
    assert evict(api, ns, name).status == 201


def test_an_eviction_must_be_one_of_this_pod(api: Wire, ns: Namespace, start: Start) -> None:
    app = start(1)
    [one] = pods_of(api, ns, app)
    path = ns("pods", one["metadata"]["name"], "eviction")
    other = api.post(path, eviction("another"))
    assert (other.status, other.reason) == (400, "BadRequest")
    assert other.message == "name in URL does not match name in Eviction object"
    assert api.post(path, pod(one["metadata"]["name"], {"image": "x"})).status == 400
    assert api.get(path).status == 405


def test_an_unknown_pod_cannot_be_evicted(api: Wire, ns: Namespace) -> None:
    answer = evict(api, ns, "nobody")
    assert (answer.status, answer.reason, answer.message) == (404, "NotFound", 'pods "nobody" not found')
