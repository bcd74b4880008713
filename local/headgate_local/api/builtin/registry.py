"""Which rules belong to which built-in kind."""

from __future__ import annotations

from headgate_local.api.builtin import access, budgets, pods, records, services, workloads
from headgate_local.api.rules import NoRules, Rules

RULES: dict[str, Rules] = {
    "configmaps": records.ConfigMapRules(),
    "controllerrevisions.apps": workloads.ControllerRevisionRules(),
    "deployments.apps": workloads.DeploymentRules(),
    "endpointslices.discovery.k8s.io": services.EndpointSliceRules(),
    "events": records.EventRules(),
    "leases.coordination.k8s.io": records.LeaseRules(),
    "clusterroles.rbac.authorization.k8s.io": access.RoleRules(namespaced=False),
    "clusterrolebindings.rbac.authorization.k8s.io": access.BindingRules(namespaced=False),
    "roles.rbac.authorization.k8s.io": access.RoleRules(namespaced=True),
    "rolebindings.rbac.authorization.k8s.io": access.BindingRules(namespaced=True),
    "namespaces": records.NamespaceRules(),
    "poddisruptionbudgets.policy": budgets.DisruptionBudgetRules(),
    "pods": pods.PodRules(),
    "replicasets.apps": workloads.ReplicaSetRules(),
    "secrets": records.SecretRules(),
    "services": services.ServiceRules(),
}
NONE = NoRules()


def rules_of(resource: str) -> Rules:
    return RULES.get(resource, NONE)
