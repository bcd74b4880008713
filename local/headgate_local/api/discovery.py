"""Discovery: what the server tells about itself and the kinds it serves, plain and aggregated."""

from __future__ import annotations

from typing import Any

from headgate_local.kinds import Kind, Kinds

VERSION = "v1.36.2"
VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
SUBRESOURCE_VERBS = ["get", "patch", "update"]
AGGREGATED = "apidiscovery.k8s.io/v2"
HEALTH = ("/healthz", "/livez", "/readyz")

# What only answers a question and is never stored.
REVIEWS = {
    ("authentication.k8s.io", "v1"): (("selfsubjectreviews", "SelfSubjectReview", False),),
    ("authorization.k8s.io", "v1"): (
        ("selfsubjectaccessreviews", "SelfSubjectAccessReview", False),
        ("selfsubjectrulesreviews", "SelfSubjectRulesReview", False),
        ("subjectaccessreviews", "SubjectAccessReview", False),
    ),
}

Json = dict[str, Any]


def version() -> Json:
    major, minor = VERSION.removeprefix("v").split(".")[:2]
    return {
        "major": major,
        "minor": minor,
        "gitVersion": VERSION,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "",
        "platform": "local/python",
    }


def core_versions() -> Json:
    everywhere = [{"clientCIDR": "0.0.0.0/0", "serverAddress": ""}]
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": everywhere}


def _groups(kinds: Kinds) -> dict[str, list[str]]:
    found = {group: versions for group, versions in kinds.groups().items() if group}
    for group, one in REVIEWS:
        found.setdefault(group, [one])
    return found


def group_list(kinds: Kinds) -> Json:
    groups = [_group(group, versions) for group, versions in _groups(kinds).items()]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def _group(group: str, versions: list[str]) -> Json:
    listed = [{"groupVersion": f"{group}/{one}", "version": one} for one in versions]
    return {"name": group, "versions": listed, "preferredVersion": listed[0]}


def one_group(kinds: Kinds, group: str) -> Json | None:
    versions = _groups(kinds).get(group)
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(group, versions)} if versions else None


def resource_list(kinds: Kinds, group: str, version: str) -> Json | None:
    found = [kind for kind in kinds if (kind.group, kind.version) == (group, version)]
    reviews = REVIEWS.get((group, version), ())
    if not found and not reviews:
        return None
    entries = [entry for kind in sorted(found, key=lambda kind: kind.plural) for entry in _entries(kind)]
    entries += [
        {"name": name, "singularName": "", "namespaced": namespaced, "kind": kind, "verbs": ["create"]}
        for name, kind, namespaced in reviews
    ]
    name = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": entries}


def _entries(kind: Kind) -> list[Json]:
    main: Json = {
        "name": kind.plural,
        "singularName": kind.single,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": VERBS,
    }
    if kind.short_names:
        main["shortNames"] = list(kind.short_names)
    if kind.categories:
        main["categories"] = list(kind.categories)
    return [main, *(_sub_entry(kind, *sub) for sub in subresources(kind))]


def subresources(kind: Kind) -> list[tuple[str, str, str, str, list[str]]]:
    """Name, then group, version, kind and verbs of each subresource; an empty group is the resource's own."""
    found: list[tuple[str, str, str, str, list[str]]] = []
    if kind.resource == "pods":
        found.append(("log", "", "", kind.kind, ["get"]))
        found.append(("eviction", "policy", "v1", "Eviction", ["create"]))
        found.append(("binding", "", "", "Binding", ["create"]))
    if kind.resource == "serviceaccounts":
        found.append(("token", "authentication.k8s.io", "v1", "TokenRequest", ["create"]))
    if kind.scale is not None:
        found.append(("scale", "autoscaling", "v1", "Scale", SUBRESOURCE_VERBS))
    if kind.status:
        found.append(("status", "", "", kind.kind, SUBRESOURCE_VERBS))
    return found


def _sub_entry(kind: Kind, name: str, group: str, version: str, shown: str, verbs: list[str]) -> Json:
    entry: Json = {
        "name": f"{kind.plural}/{name}",
        "singularName": "",
        "namespaced": kind.namespaced,
        "kind": shown,
        "verbs": verbs,
    }
    if group:
        entry |= {"group": group, "version": version}
    return entry


def aggregated(kinds: Kinds, *, core: bool) -> Json:
    """All groups with all their resources in one answer, as kubectl asks first."""
    groups = {"": ["v1"]} if core else _groups(kinds)
    items = [
        {
            "metadata": {"name": group, "creationTimestamp": None},
            "versions": [_aggregated_version(kinds, group, one) for one in versions],
        }
        for group, versions in groups.items()
    ]
    return {"kind": "APIGroupDiscoveryList", "apiVersion": AGGREGATED, "metadata": {}, "items": items}


def _aggregated_version(kinds: Kinds, group: str, version: str) -> Json:
    found = sorted((k for k in kinds if (k.group, k.version) == (group, version)), key=lambda kind: kind.plural)
    resources = [_aggregated_resource(kind) for kind in found]
    for name, shown, namespaced in REVIEWS.get((group, version), ()):
        about = {"group": group, "version": version, "kind": shown}
        scope = "Namespaced" if namespaced else "Cluster"
        resources.append(
            {"resource": name, "responseKind": about, "scope": scope, "singularResource": "", "verbs": ["create"]}
        )
    return {"version": version, "resources": resources, "freshness": "Current"}


def _aggregated_resource(kind: Kind) -> Json:
    entry: Json = {
        "resource": kind.plural,
        "responseKind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.single,
        "verbs": VERBS,
    }
    if kind.short_names:
        entry["shortNames"] = list(kind.short_names)
    if kind.categories:
        entry["categories"] = list(kind.categories)
    below = [
        {
            "subresource": name,
            "responseKind": {"group": group or kind.group, "version": version or kind.version, "kind": shown},
            "verbs": verbs,
        }
        for name, group, version, shown, verbs in subresources(kind)
    ]
    if below:
        entry["subresources"] = below
    return entry
