"""Which kinds exist: the built-in ones we serve and, added at run time, those of CustomResourceDefinitions.

Everything generic (paths, discovery, storage keys, selectors, ownership) is decided by the entry here, so a further
built-in kind is one line.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from headgate_local.schema import Schema, builtin_schema


@dataclass(frozen=True)
class Kind:
    """One kind in one version. `resource` names its storage, shared by all versions of the kind."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool
    schema: Schema = field(compare=False, repr=False)
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    singular: str = ""
    list_kind: str = ""
    status: bool = False
    scale: ScalePaths | None = None
    custom: bool = False
    selectable: tuple[str, ...] = ()
    columns: tuple[dict[str, Any], ...] = field(default=(), compare=False)
    storage: str = ""

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        return self.storage or (f"{self.plural}.{self.group}" if self.group else self.plural)

    @property
    def qualified(self) -> str:
        return f"{self.kind}.{self.group}" if self.group else self.kind

    @property
    def list_name(self) -> str:
        return self.list_kind or f"{self.kind}List"

    @property
    def single(self) -> str:
        return self.singular or self.kind.lower()


@dataclass(frozen=True)
class ScalePaths:
    """Where the scale subresource finds its three fields; `selector` may be a map (built-in) or a string (CRD)."""

    spec_replicas: tuple[str, ...] = ("spec", "replicas")
    status_replicas: tuple[str, ...] = ("status", "replicas")
    selector: tuple[str, ...] = ("spec", "selector")


def _core(kind: str, plural: str, *, short: tuple[str, ...] = (), **more: Any) -> Kind:
    schema = builtin_schema(f"io.k8s.api.core.v1.{kind}")
    return Kind("", "v1", kind, plural, more.pop("namespaced", True), schema, short_names=short, **more)


def _grouped(group: str, package: str, kind: str, plural: str, **more: Any) -> Kind:
    schema = builtin_schema(f"{package}.v1.{kind}")
    return Kind(group, "v1", kind, plural, more.pop("namespaced", True), schema, **more)


ALL = ("all",)
RBAC = "rbac.authorization.k8s.io"
CRD_PACKAGE = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions"
POD_FIELDS = ("spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "status.phase",
              "status.podIP", "status.nominatedNodeName")  # fmt: skip
EVENT_FIELDS = ("involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
                "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason",
                "reportingComponent", "source", "type")  # fmt: skip

BUILTIN: tuple[Kind, ...] = (
    _core("Namespace", "namespaces", short=("ns",), namespaced=False, status=True, selectable=("status.phase",)),
    _core("Node", "nodes", short=("no",), namespaced=False, status=True, selectable=("spec.unschedulable",)),
    _core("Pod", "pods", short=("po",), categories=ALL, status=True, selectable=POD_FIELDS),
    _core("Service", "services", short=("svc",), categories=ALL, status=True,
          selectable=("spec.clusterIP", "spec.type")),
    _core("ConfigMap", "configmaps", short=("cm",)),
    _core("Secret", "secrets", selectable=("type",)),
    _core("ServiceAccount", "serviceaccounts", short=("sa",)),
    _core("Event", "events", short=("ev",), selectable=EVENT_FIELDS),
    _grouped("events.k8s.io", "io.k8s.api.events", "Event", "events", short_names=("ev",), storage="events",
             selectable=EVENT_FIELDS),
    _grouped("apps", "io.k8s.api.apps", "Deployment", "deployments", short_names=("deploy",), categories=ALL,
             status=True, scale=ScalePaths()),
    _grouped("apps", "io.k8s.api.apps", "ReplicaSet", "replicasets", short_names=("rs",), categories=ALL,
             status=True, scale=ScalePaths(), selectable=("status.replicas",)),
    _grouped("apps", "io.k8s.api.apps", "ControllerRevision", "controllerrevisions"),
    _grouped("discovery.k8s.io", "io.k8s.api.discovery", "EndpointSlice", "endpointslices"),
    _grouped("coordination.k8s.io", "io.k8s.api.coordination", "Lease", "leases"),
    _grouped("policy", "io.k8s.api.policy", "PodDisruptionBudget", "poddisruptionbudgets", short_names=("pdb",),
             status=True),
    _grouped(RBAC, "io.k8s.api.rbac", "ClusterRole", "clusterroles", namespaced=False),
    _grouped(RBAC, "io.k8s.api.rbac", "ClusterRoleBinding", "clusterrolebindings", namespaced=False),
    _grouped(RBAC, "io.k8s.api.rbac", "Role", "roles"),
    _grouped(RBAC, "io.k8s.api.rbac", "RoleBinding", "rolebindings"),
    _grouped("apiextensions.k8s.io", CRD_PACKAGE, "CustomResourceDefinition", "customresourcedefinitions",
             namespaced=False, short_names=("crd", "crds"), categories=("api-extensions",), status=True),
)  # fmt: skip


class Kinds:
    """The registry of one API server."""

    def __init__(self) -> None:
        self._by_path: dict[tuple[str, str, str], Kind] = {}
        for kind in BUILTIN:
            self.add(kind)

    def add(self, kind: Kind) -> None:
        self._by_path[kind.group, kind.version, kind.plural] = kind

    def remove(self, group: str, plural: str) -> None:
        for key in [key for key in self._by_path if key[0] == group and key[2] == plural]:
            del self._by_path[key]

    def find(self, group: str, version: str, plural: str) -> Kind | None:
        return self._by_path.get((group, version, plural))

    def of_object(self, api_version: str, kind: str) -> Kind | None:
        return next((k for k in self if k.api_version == api_version and k.kind == kind), None)

    def named(self, kind: str) -> Kind:
        """The kind by its bare name, as controllers use it; KeyError where there is none."""
        for entry in self:
            if entry.kind == kind:
                return entry
        raise KeyError(kind)

    def __iter__(self) -> Iterator[Kind]:
        return iter(tuple(self._by_path.values()))

    def groups(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for kind in self:
            versions = found.setdefault(kind.group, [])
            if kind.version not in versions:
                versions.append(kind.version)
        return found
