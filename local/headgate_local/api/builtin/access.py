"""Roles and bindings: what is refused in them."""

from __future__ import annotations

from collections.abc import Iterator

from headgate_local.api.metadata import DNS_SUBDOMAIN, SUBDOMAIN_HINT
from headgate_local.errors import FieldError, invalid, not_supported, required
from headgate_local.store import Obj

GROUP = "rbac.authorization.k8s.io"
SUBJECTS = ("ServiceAccount", "User", "Group")


class RoleRules:
    def __init__(self, *, namespaced: bool) -> None:
        self._namespaced = namespaced

    def default(self, obj: Obj) -> None:
        """Nothing is filled."""

    def prepare(self, obj: Obj, old: Obj | None) -> None:
        """Nothing is set."""

    def validate(self, obj: Obj, old: Obj | None) -> list[FieldError]:
        del old
        rules = obj.get("rules") or []
        return [error for at, rule in enumerate(rules) for error in self._rule_errors(rule, f"rules[{at}]")]

    def _rule_errors(self, rule: Obj, path: str) -> Iterator[FieldError]:
        if not rule.get("verbs"):
            yield required(f"{path}.verbs", "verbs must contain at least one value")
        urls = rule.get("nonResourceURLs")
        if urls:
            if self._namespaced:
                yield invalid(f"{path}.nonResourceURLs", urls, "namespaced rules cannot apply to non-resource URLs")
            if any(rule.get(name) for name in ("apiGroups", "resources", "resourceNames")):
                hint = "rules cannot apply to both regular resources and non-resource URLs"
                yield invalid(f"{path}.nonResourceURLs", urls, hint)
            return
        if not rule.get("apiGroups"):
            yield required(f"{path}.apiGroups", "resource rules must supply at least one api group")
        if not rule.get("resources"):
            yield required(f"{path}.resources", "resource rules must supply at least one resource")


class BindingRules:
    def __init__(self, *, namespaced: bool) -> None:
        self._namespaced = namespaced

    def default(self, obj: Obj) -> None:
        obj.setdefault("roleRef", {}).setdefault("apiGroup", GROUP)
        for subject in obj.get("subjects") or ():
            if subject.get("kind") in ("User", "Group"):
                subject.setdefault("apiGroup", GROUP)

    def prepare(self, obj: Obj, old: Obj | None) -> None:
        """Nothing is set."""

    def validate(self, obj: Obj, old: Obj | None) -> list[FieldError]:
        errors = list(self._role_errors(obj["roleRef"]))
        for at, subject in enumerate(obj.get("subjects") or ()):
            errors += self._subject_errors(subject, f"subjects[{at}]")
        if old is not None and obj["roleRef"] != old["roleRef"]:
            shown = {"APIGroup": obj["roleRef"]["apiGroup"], "Kind": obj["roleRef"].get("kind", "")}
            errors.append(
                invalid("roleRef", {**shown, "Name": obj["roleRef"].get("name", "")}, "cannot change roleRef")
            )
        return errors

    def _role_errors(self, reference: Obj) -> Iterator[FieldError]:
        if reference["apiGroup"] != GROUP:
            yield not_supported("roleRef.apiGroup", reference["apiGroup"], (GROUP,))
        kinds = ("Role", "ClusterRole") if self._namespaced else ("ClusterRole",)
        if reference.get("kind") not in kinds:
            yield not_supported("roleRef.kind", reference.get("kind", ""), kinds)
        if not reference.get("name"):
            yield required("roleRef.name")

    def _subject_errors(self, subject: Obj, path: str) -> Iterator[FieldError]:
        name, kind, group = (subject.get(field) or "" for field in ("name", "kind", "apiGroup"))
        if not name:
            yield required(f"{path}.name")
        if kind not in SUBJECTS:
            yield not_supported(f"{path}.kind", kind, SUBJECTS)
        elif kind == "ServiceAccount":
            if name and not DNS_SUBDOMAIN.match(name):
                yield invalid(f"{path}.name", name, SUBDOMAIN_HINT)
            if group:
                yield not_supported(f"{path}.apiGroup", group, ("",))
            if not self._namespaced and not subject.get("namespace"):
                yield required(f"{path}.namespace")
        elif group != GROUP:
            yield not_supported(f"{path}.apiGroup", group, (GROUP,))
