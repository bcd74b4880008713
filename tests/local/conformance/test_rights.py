"""Who may do what: service accounts, their tokens and what roles allow them; impersonation and reviews."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from kube_manifests import RUN, Namespace, configmap, eviction, fresh
from kube_wire import Answer, Cluster, Obj, Wire, eventually

RBAC, GROUP = "/apis/rbac.authorization.k8s.io/v1", "rbac.authorization.k8s.io"
REVIEWS = "/apis/authorization.k8s.io/v1"


class Account:
    """A service account and requests with its token."""

    def __init__(self, api: Wire, cluster: Cluster, ns: Namespace) -> None:
        self.api, self.ns, self.name = api, ns, fresh("account")
        api.create(ns("serviceaccounts"), {"metadata": {"name": self.name}})
        self.wire = Wire(cluster, token=self.token()["status"]["token"])
        self.user = f"system:serviceaccount:{ns.name}:{self.name}"
        self.subject = {"kind": "ServiceAccount", "name": self.name, "namespace": ns.name}

    def token(self, **spec: object) -> Obj:
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        return self.api.create(self.ns("serviceaccounts", self.name, "token"), body)

    def may(self, verb: str, resource: str, **more: str) -> bool:
        attributes = {"verb": verb, "resource": resource, "namespace": self.ns.name, **more}
        return bool(self.review(resourceAttributes=attributes)["allowed"])

    def review(self, **spec: object) -> Obj:
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec}
        return dict(self.wire.create(f"{REVIEWS}/selfsubjectaccessreviews", body)["status"])

    def allow(self, *rules: Obj, role: str = "") -> str:
        """Binds a role of these rules in the namespace, or one that is there or not; returns its name."""
        name = role or fresh("role")
        if rules:
            self.api.create(f"{RBAC}/namespaces/{self.ns.name}/roles", made("Role", name, rules=list(rules)))
        self.bind("RoleBinding", {"apiGroup": GROUP, "kind": "Role", "name": name})
        return name

    def bind(self, kind: str, reference: Obj) -> str:
        name = fresh(f"binding-{RUN}")
        place = f"namespaces/{self.ns.name}/rolebindings" if kind == "RoleBinding" else "clusterrolebindings"
        self.api.create(f"{RBAC}/{place}", made(kind, name, subjects=[self.subject], roleRef=reference))
        return f"{RBAC}/{place}/{name}"


def made(kind: str, name: str, **more: object) -> Obj:
    return {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": {"name": name}, **more}


def rule(verbs: str, resources: str, group: str = "", **more: list[str]) -> Obj:
    return {"apiGroups": [group], "resources": resources.split(), "verbs": verbs.split(), **more}


def until(allowed: Callable[[], bool]) -> None:
    """A real server learns of a new binding a moment later."""
    eventually(allowed, "the binding is known")


@pytest.fixture
def account(api: Wire, cluster: Cluster, ns: Namespace) -> Iterator[Account]:
    made_account = Account(api, cluster, ns)
    yield made_account
    made_account.wire.close()


# --- tokens ---------------------------------------------------------------------------------------------------------


def test_a_token_says_when_it_ends_and_whose_it_is(account: Account) -> None:
    seen = account.token(expirationSeconds=600)
    assert (seen["kind"], seen["spec"]["expirationSeconds"]) == ("TokenRequest", 600)
    assert seen["status"]["expirationTimestamp"] > seen["metadata"]["creationTimestamp"]
    assert seen["metadata"]["name"] == account.name
    assert len(seen["status"]["token"].split(".")) == 3
    assert account.token()["spec"]["expirationSeconds"] == 3600


def test_a_token_lives_at_least_ten_minutes(api: Wire, ns: Namespace, account: Account) -> None:
    path = ns("serviceaccounts", account.name, "token")
    answer = api.post(path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                             "spec": {"expirationSeconds": 60}})  # fmt: skip
    assert (answer.status, answer.fields) == (422, {"spec.expirationSeconds"})
    assert "may not specify a duration less than 10 minutes" in answer.message
    assert api.get(path).status == 405


def test_there_is_no_token_for_nobody(api: Wire, ns: Namespace) -> None:
    answer = api.post(ns("serviceaccounts", "nobody", "token"), {"spec": {}})
    assert (answer.status, answer.message) == (404, 'serviceaccounts "nobody" not found')


def test_a_changed_token_is_nobodys(cluster: Cluster, account: Account) -> None:
    head, body, signature = account.token()["status"]["token"].split(".")
    wire = Wire(cluster, token=".".join([head, body, signature[::-1]]))
    assert wire.get("/version").status == 401


def test_an_account_is_told_who_it_is(account: Account) -> None:
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    info = account.wire.create("/apis/authentication.k8s.io/v1/selfsubjectreviews", review)["status"]["userInfo"]
    assert info["username"] == account.user
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{account.ns.name}", "system:authenticated"]
    assert info["groups"] == groups
    assert info["uid"] == account.api.read(account.ns("serviceaccounts", account.name))["metadata"]["uid"]


# --- what nobody has allowed ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "resource", "parts", "query", "told"),
    [
        (
            "GET",
            "configmaps",
            (),
            {},
            'configmaps is forbidden: User "{user}" cannot list resource "configmaps" in API',
        ),
        (
            "GET",
            "configmaps",
            ("x",),
            {},
            'configmaps "x" is forbidden: User "{user}" cannot get resource "configmaps"',
        ),
        ("GET", "configmaps", (), {"watch": "true"}, 'configmaps is forbidden: User "{user}" cannot watch resource'),
        ("POST", "configmaps", (), {}, 'configmaps is forbidden: User "{user}" cannot create resource "configmaps" in'),
        (
            "PUT",
            "configmaps",
            ("x",),
            {},
            'configmaps "x" is forbidden: User "{user}" cannot update resource "configma',
        ),
        ("PATCH", "configmaps", ("x",), {}, 'configmaps "x" is forbidden: User "{user}" cannot patch resource "config'),
        ("DELETE", "configmaps", ("x",), {}, 'configmaps "x" is forbidden: User "{user}" cannot delete resource'),
        ("DELETE", "configmaps", (), {}, 'configmaps is forbidden: User "{user}" cannot deletecollection resource'),
        ("GET", "pods", ("x", "log"), {}, 'pods "x" is forbidden: User "{user}" cannot get resource "pods/log" in API'),
        ("PATCH", "deployments", ("x", "scale"), {}, 'deployments.apps "x" is forbidden: User "{user}" cannot patch'),
        ("GET", "gadgets", (), {}, "gadgets.{group} is forbidden: User"),
    ],
)
def test_what_is_not_allowed_is_forbidden_and_says_what(
    account: Account, method: str, resource: str, parts: tuple[str, ...], query: dict[str, str], told: str
) -> None:
    body = configmap("x") if method in ("POST", "PUT") else {} if method == "PATCH" else None
    form = "application/merge-patch+json" if method == "PATCH" else "application/json"
    answer = account.wire.request(method, account.ns(resource, *parts), body, content_type=form, **query)
    assert (answer.status, answer.reason, answer.body["code"]) == (403, "Forbidden", 403)
    group = account.ns(resource).split("/")[2]
    assert answer.message.startswith(told.format(user=account.user, group=group))
    assert answer.message.endswith(f'in the namespace "{account.ns.name}"')
    assert answer.body["details"]["kind"] == resource


def test_an_eviction_is_the_creation_of_a_subresource(account: Account) -> None:
    answer = account.wire.post(account.ns("pods", "x", "eviction"), eviction("x"))
    assert answer.status == 403
    assert 'cannot create resource "pods/eviction" in API group ""' in answer.message


def test_without_a_namespace_it_is_the_cluster_that_is_closed(account: Account) -> None:
    answer = account.wire.get("/apis/apps/v1/deployments")
    assert answer.message == (
        f'deployments.apps is forbidden: User "{account.user}" cannot list resource "deployments" in API group "apps"'
        " at the cluster scope"
    )


def test_what_is_not_there_is_forbidden_before_it_is_unknown(account: Account) -> None:
    answer = account.wire.get("/apis/spoon.dev/v1/spoons")
    assert (answer.status, answer.reason) == (403, "Forbidden")
    answer = account.wire.get("/spoon")
    assert (answer.status, answer.message) == (403, f'forbidden: User "{account.user}" cannot get path "/spoon"')


def test_everybody_may_discover(account: Account) -> None:
    for path in ("/api", "/api/v1", "/apis", "/apis/apps/v1", "/version", "/openapi/v3", "/healthz"):
        assert account.wire.get(path).status == 200, path


# --- what roles allow -----------------------------------------------------------------------------------------------


def test_a_role_allows_its_verbs_on_its_resources_in_its_namespace(account: Account) -> None:
    wire, ns = account.wire, account.ns
    account.allow(rule("get list create", "configmaps"))
    until(lambda: account.may("list", "configmaps"))
    assert wire.get(ns("configmaps")).status == 200
    assert wire.post(ns("configmaps"), configmap(account.name)).status == 201
    assert wire.get(ns("configmaps", account.name)).status == 200
    assert wire.get(ns("configmaps", "nobody")).status == 404
    assert wire.delete(ns("configmaps", account.name)).status == 403
    assert wire.get(ns("secrets")).status == 403
    assert wire.get("/api/v1/namespaces/default/configmaps").status == 403
    assert wire.get("/api/v1/configmaps").status == 403


def test_a_right_ends_with_its_binding(api: Wire, account: Account) -> None:
    name = fresh("role")
    api.create(f"{RBAC}/namespaces/{account.ns.name}/roles", made("Role", name, rules=[rule("list", "configmaps")]))
    path = account.bind("RoleBinding", {"apiGroup": GROUP, "kind": "Role", "name": name})
    until(lambda: account.wire.get(account.ns("configmaps")).status == 200)
    api.delete(path)
    until(lambda: account.wire.get(account.ns("configmaps")).status == 403)


def test_a_changed_role_counts_at_once(api: Wire, account: Account) -> None:
    name = account.allow(rule("list", "configmaps"))
    until(lambda: account.wire.get(account.ns("configmaps")).status == 200)
    api.patch(f"{RBAC}/namespaces/{account.ns.name}/roles/{name}", {"rules": [rule("list", "secrets")]})
    until(lambda: account.wire.get(account.ns("configmaps")).status == 403)
    assert account.wire.get(account.ns("secrets")).status == 200


def test_a_role_may_be_about_certain_names(account: Account) -> None:
    account.allow(rule("get list watch", "configmaps", resourceNames=["mine"]))
    until(lambda: account.may("get", "configmaps", name="mine"))
    assert account.wire.get(account.ns("configmaps", "mine")).status == 404
    assert account.wire.get(account.ns("configmaps", "theirs")).status == 403
    assert account.wire.get(account.ns("configmaps")).status == 403
    # A list of one name is about that name.
    assert account.wire.get(account.ns("configmaps"), fieldSelector="metadata.name=mine").status == 200
    assert account.wire.get(account.ns("configmaps"), fieldSelector="metadata.name=theirs").status == 403


def test_a_subresource_is_allowed_apart_from_its_resource(account: Account) -> None:
    account.allow(rule("get", "deployments/scale", "apps"), rule("get", "*/status", "apps"))
    until(lambda: account.may("get", "deployments", group="apps", subresource="scale"))
    assert account.wire.get(account.ns("deployments", "x", "scale")).status == 404
    assert account.wire.get(account.ns("replicasets", "x", "status")).status == 404
    assert account.wire.get(account.ns("deployments", "x")).status == 403
    assert account.wire.get(account.ns("replicasets", "x", "scale")).status == 403


def test_a_star_is_everything(account: Account) -> None:
    account.allow({"apiGroups": ["apps"], "resources": ["*"], "verbs": ["*"]})
    until(lambda: account.may("delete", "replicasets", group="apps"))
    assert account.wire.get(account.ns("deployments")).status == 200
    assert account.wire.get(account.ns("deployments", "x", "scale")).status == 404
    assert account.wire.get(account.ns("pods")).status == 403


def test_a_cluster_role_bound_in_a_namespace_counts_there_only(api: Wire, account: Account) -> None:
    name = f"conformance-{RUN}-{account.name}"
    api.create(f"{RBAC}/clusterroles", made("ClusterRole", name, rules=[rule("list", "configmaps")]))
    try:
        account.bind("RoleBinding", {"apiGroup": GROUP, "kind": "ClusterRole", "name": name})
        until(lambda: account.wire.get(account.ns("configmaps")).status == 200)
        assert account.wire.get("/api/v1/configmaps").status == 403
    finally:
        api.delete(f"{RBAC}/clusterroles/{name}")


def test_a_cluster_role_bound_in_the_cluster_counts_everywhere(api: Wire, account: Account) -> None:
    name = f"conformance-{RUN}-{account.name}"
    urls = {"verbs": ["get"], "nonResourceURLs": ["/conformance/*"]}
    api.create(f"{RBAC}/clusterroles", made("ClusterRole", name, rules=[rule("list", "configmaps"), urls]))
    binding = account.bind("ClusterRoleBinding", {"apiGroup": GROUP, "kind": "ClusterRole", "name": name})
    try:
        until(lambda: account.wire.get("/api/v1/configmaps").status == 200)
        assert account.wire.get(account.ns("configmaps")).status == 200
        assert account.wire.get("/conformance/x").status == 404
        assert account.wire.get("/conformance").status == 403
    finally:
        api.delete(binding)
        api.delete(f"{RBAC}/clusterroles/{name}")


def test_a_binding_to_a_role_that_is_not_there_allows_nothing_and_is_named(account: Account) -> None:
    account.allow(role="missing")
    answer = eventually(
        lambda: (got := account.wire.get(account.ns("configmaps"))).message.endswith("not found") and got,
        "the binding is known",
    )
    assert answer.status == 403
    assert answer.message.endswith(f': RBAC: role.{GROUP} "missing" not found')


def test_nobody_gives_away_what_they_do_not_have(account: Account) -> None:
    account.allow(rule("create", "roles", GROUP), rule("get", "configmaps"))
    until(lambda: account.may("create", "roles", group=GROUP))
    roles = f"{RBAC}/namespaces/{account.ns.name}/roles"
    granted = account.wire.post(roles, made("Role", fresh("role"), rules=[rule("get", "configmaps")]))
    assert granted.status == 201
    name = fresh("role")
    answer = account.wire.post(roles, made("Role", name, rules=[rule("get", "secrets")]))
    assert (answer.status, answer.reason) == (403, "Forbidden")
    groups = f'"system:serviceaccounts" "system:serviceaccounts:{account.ns.name}" "system:authenticated"'
    assert answer.message == (
        f'roles.{GROUP} "{name}" is forbidden: user "{account.user}" (groups=[{groups}]) is attempting to grant RBAC'
        ' permissions not currently held:\n{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}'
    )


def test_nobody_binds_a_role_of_more_than_they_have(api: Wire, account: Account) -> None:
    account.allow({"apiGroups": [GROUP], "resources": ["rolebindings"], "verbs": ["*"]})
    until(lambda: account.may("create", "rolebindings", group=GROUP))
    role = fresh("role")
    api.create(f"{RBAC}/namespaces/{account.ns.name}/roles", made("Role", role, rules=[rule("get", "secrets")]))
    reference = {"apiGroup": GROUP, "kind": "Role", "name": role}
    body = made("RoleBinding", fresh("binding"), subjects=[account.subject], roleRef=reference)
    path = f"{RBAC}/namespaces/{account.ns.name}/rolebindings"
    answer = account.wire.post(path, body)
    assert answer.status == 403
    assert "is attempting to grant RBAC permissions not currently held" in answer.message
    # The right to bind it is enough.
    account.allow({"apiGroups": [GROUP], "resources": ["roles"], "verbs": ["bind"], "resourceNames": [role]})
    until(lambda: account.may("bind", "roles", group=GROUP, name=role))
    assert account.wire.post(path, body).status == 201


# --- impersonation --------------------------------------------------------------------------------------------------


def as_user(api: Wire, path: str, user: str, **more: str) -> Answer:
    return api.get(path, headers={"Impersonate-User": user, **more})


def test_an_administrator_speaks_for_somebody_else(api: Wire, ns: Namespace) -> None:
    answer = as_user(api, ns("configmaps"), "alice")
    assert (answer.status, answer.reason) == (403, "Forbidden")
    assert 'User "alice" cannot list resource "configmaps"' in answer.message
    assert as_user(api, ns("configmaps"), "alice", **{"Impersonate-Group": "system:masters"}).status == 200


def test_somebody_else_is_all_that_the_headers_say(api: Wire) -> None:
    headers = {"Impersonate-User": "alice", "Impersonate-Group": "editors", "Impersonate-Uid": "7",
               "Impersonate-Extra-Team": "blue"}  # fmt: skip
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    seen = api.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", review, headers=headers)
    wanted = {
        "username": "alice",
        "uid": "7",
        "groups": ["editors", "system:authenticated"],
        "extra": {"team": ["blue"]},
    }
    assert seen.body["status"]["userInfo"] == wanted


def test_an_account_can_be_spoken_for_by_its_long_name(api: Wire, account: Account) -> None:
    account.allow(rule("list", "configmaps"))
    until(lambda: as_user(api, account.ns("configmaps"), account.user).status == 200)
    assert as_user(api, account.ns("secrets"), account.user).status == 403


def test_a_group_alone_is_nobody(api: Wire, ns: Namespace) -> None:
    answer = api.get(ns("configmaps"), headers={"Impersonate-Group": "system:masters"})
    assert (answer.status, answer.reason) == (400, "BadRequest")
    assert "without impersonating a user name" in answer.message


def test_who_may_not_speak_for_others_cannot(account: Account) -> None:
    answer = as_user(account.wire, account.ns("configmaps"), "alice")
    assert (answer.status, answer.reason) == (403, "Forbidden")
    assert f'User "{account.user}" cannot impersonate' in answer.message


# --- reviews --------------------------------------------------------------------------------------------------------


def test_an_allowed_review_says_by_which_binding(api: Wire, account: Account) -> None:
    name = fresh("role")
    api.create(f"{RBAC}/namespaces/{account.ns.name}/roles", made("Role", name, rules=[rule("get", "configmaps")]))
    binding = account.bind("RoleBinding", {"apiGroup": GROUP, "kind": "Role", "name": name}).rpartition("/")[2]
    until(lambda: account.may("get", "configmaps"))
    where = {"namespace": account.ns.name, "verb": "get", "resource": "configmaps"}
    assert account.review(resourceAttributes=where) == {
        "allowed": True,
        "reason": f'RBAC: allowed by RoleBinding "{binding}/{account.ns.name}" of Role "{name}" to ServiceAccount'
        f' "{account.name}/{account.ns.name}"',
    }
    assert account.review(resourceAttributes={**where, "verb": "delete"}) == {"allowed": False}


def test_a_review_may_be_about_a_path(account: Account) -> None:
    assert account.review(nonResourceAttributes={"verb": "get", "path": "/version"})["allowed"] is True
    assert account.review(nonResourceAttributes={"verb": "get", "path": "/spoon"})["allowed"] is False


def test_a_review_is_about_exactly_one_thing(account: Account) -> None:
    answer = account.wire.post(f"{REVIEWS}/selfsubjectaccessreviews", {"spec": {}})
    assert (answer.status, answer.fields) == (422, {"spec.resourceAttributes"})


def test_an_administrator_asks_about_others_and_nobody_else_does(api: Wire, account: Account) -> None:
    account.allow(rule("get", "configmaps"))
    about = {"namespace": account.ns.name, "verb": "get", "resource": "configmaps"}
    body = {"spec": {"user": account.user, "resourceAttributes": about}}
    until(lambda: api.create(f"{REVIEWS}/subjectaccessreviews", body)["status"]["allowed"])
    other = {"spec": {"user": "alice", "resourceAttributes": about}}
    assert api.create(f"{REVIEWS}/subjectaccessreviews", other)["status"]["allowed"] is False
    answer = account.wire.post(f"{REVIEWS}/subjectaccessreviews", body)
    assert (answer.status, answer.body["details"]["kind"]) == (403, "subjectaccessreviews")


def test_all_rights_can_be_asked_for(account: Account) -> None:
    account.allow(rule("get", "configmaps"))
    until(lambda: account.may("get", "configmaps"))
    body = {"spec": {"namespace": account.ns.name}}
    status = account.wire.create(f"{REVIEWS}/selfsubjectrulesreviews", body)["status"]
    rights = {(verb, name) for one in status["resourceRules"] for verb in one["verbs"] for name in one["resources"]}
    assert ("get", "configmaps") in rights
    assert ("create", "selfsubjectaccessreviews") in rights
    assert any("/version" in one["nonResourceURLs"] for one in status["nonResourceRules"])
    assert status["incomplete"] is False


# --- the objects ----------------------------------------------------------------------------------------------------


def test_a_rule_that_is_about_nothing_is_refused(api: Wire, ns: Namespace) -> None:
    rules = [
        {"apiGroups": [""], "resources": ["a"]},
        {"verbs": ["get"]},
        {"verbs": ["get"], "nonResourceURLs": ["/x"]},
    ]
    answer = api.post(f"{RBAC}/namespaces/{ns.name}/roles", made("Role", fresh("role"), rules=rules))
    wanted = {"rules[0].verbs", "rules[1].apiGroups", "rules[1].resources", "rules[2].nonResourceURLs"}
    assert (answer.status, answer.fields) == (422, wanted)


def test_a_rule_is_about_resources_or_paths(api: Wire) -> None:
    rules = [{**rule("get", "a"), "nonResourceURLs": ["/x"]}]
    answer = api.post(f"{RBAC}/clusterroles", made("ClusterRole", f"conformance-{RUN}-mixed", rules=rules))
    assert (answer.status, answer.fields) == (422, {"rules[0].nonResourceURLs"})
    assert "rules cannot apply to both regular resources and non-resource URLs" in answer.message


def test_a_binding_needs_a_role_and_subjects_that_can_be(api: Wire, ns: Namespace) -> None:
    subjects = [{"kind": "Spoon", "name": "x"}, {"kind": "User"}, {"kind": "ServiceAccount", "name": "a b"}]
    reference = {"apiGroup": "spoon.dev", "kind": "Spoon", "name": ""}
    body = made("RoleBinding", fresh("binding"), subjects=subjects, roleRef=reference)
    answer = api.post(f"{RBAC}/namespaces/{ns.name}/rolebindings", body)
    wanted = {"roleRef.apiGroup", "roleRef.kind", "roleRef.name", "subjects[0].kind", "subjects[1].name",
              "subjects[2].name"}  # fmt: skip
    assert (answer.status, answer.fields) == (422, wanted)


def test_a_binding_in_the_cluster_must_say_whose_account_it_means(api: Wire) -> None:
    reference = {"apiGroup": GROUP, "kind": "ClusterRole", "name": "view"}
    body = made("ClusterRoleBinding", f"conformance-{RUN}", subjects=[{"kind": "ServiceAccount", "name": "x"}],
                roleRef=reference)  # fmt: skip
    answer = api.post(f"{RBAC}/clusterrolebindings", body)
    assert (answer.status, answer.fields) == (422, {"subjects[0].namespace"})


def test_users_and_groups_get_the_group_of_their_api(api: Wire, ns: Namespace) -> None:
    subjects = [{"kind": "User", "name": "alice"}, {"kind": "Group", "name": "editors"}]
    body = made("RoleBinding", fresh("binding"), subjects=subjects, roleRef={"kind": "Role", "name": "any"})
    seen = api.create(f"{RBAC}/namespaces/{ns.name}/rolebindings", body)
    assert {one["apiGroup"] for one in seen["subjects"]} == {GROUP}
    assert seen["roleRef"]["apiGroup"] == GROUP


def test_every_cluster_begins_with_the_roles_of_administrators_and_of_everybody(api: Wire) -> None:
    everything = api.read(f"{RBAC}/clusterroles/cluster-admin")["rules"]
    assert {"verbs": ["*"], "nonResourceURLs": ["*"]} in everything
    [subject] = api.read(f"{RBAC}/clusterrolebindings/cluster-admin")["subjects"]
    assert (subject["kind"], subject["name"]) == ("Group", "system:masters")
    for name in ("system:discovery", "system:basic-user", "system:public-info-viewer"):
        groups = {one["name"] for one in api.read(f"{RBAC}/clusterrolebindings/{name}")["subjects"]}
        assert "system:authenticated" in groups
