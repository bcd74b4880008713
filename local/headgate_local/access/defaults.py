"""The roles every cluster begins with: what makes an administrator, and what everybody may ask.

The roles for people (admin, edit, view) are left out: they are put together by aggregation, which is not here.
"""

from __future__ import annotations

from typing import Any

from headgate_local.access.rbac import GROUP
from headgate_local.access.users import AUTHENTICATED, MASTERS

Obj = dict[str, Any]
HEALTH = ["/healthz", "/livez", "/readyz", "/version", "/version/"]
DOCUMENTS = ["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*"]
LABELS = {"kubernetes.io/bootstrapping": "rbac-defaults"}


def _may(*resources: str, group: str) -> Obj:
    return {"verbs": ["create"], "apiGroups": [group], "resources": list(resources)}


ROLES: dict[str, tuple[list[Obj], tuple[str, ...]]] = {
    "cluster-admin": (
        [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}, {"verbs": ["*"], "nonResourceURLs": ["*"]}],
        (MASTERS,),
    ),
    "system:basic-user": (
        [
            _may("selfsubjectaccessreviews", "selfsubjectrulesreviews", group="authorization.k8s.io"),
            _may("selfsubjectreviews", group="authentication.k8s.io"),
        ],
        (AUTHENTICATED,),
    ),
    "system:discovery": ([{"verbs": ["get"], "nonResourceURLs": sorted(DOCUMENTS + HEALTH)}], (AUTHENTICATED,)),
    "system:public-info-viewer": (
        [{"verbs": ["get"], "nonResourceURLs": HEALTH}],
        (AUTHENTICATED, "system:unauthenticated"),
    ),
}


def default_objects() -> list[Obj]:
    found = []
    for name, (rules, groups) in ROLES.items():
        about = {"apiVersion": f"{GROUP}/v1", "metadata": {"name": name, "labels": LABELS}}
        subjects = [{"kind": "Group", "apiGroup": GROUP, "name": group} for group in groups]
        reference = {"apiGroup": GROUP, "kind": "ClusterRole", "name": name}
        found.append({**about, "kind": "ClusterRole", "rules": rules})
        found.append({**about, "kind": "ClusterRoleBinding", "subjects": subjects, "roleRef": reference})
    return found
