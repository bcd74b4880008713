"""The pod template of a revision: one container `server`, under the restricted pod security profile.

Made once, when the revision is made, and stored in it: what this function returns tomorrow changes no running pod.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from headgate_operator import contract
from headgate_operator.api.model import Identity

CACHE_DIR = "/var/cache/headgate"
CREDENTIALS_DIR = "/var/run/secrets/headgate.dev/registry"
NOBODY = 65532
STARTUP_SECONDS = 120


def labels_of(name: str, revision: str, version: str) -> dict[str, str]:
    return {
        contract.LABEL_NAME: contract.SERVER_NAME,
        contract.LABEL_INSTANCE: name,
        contract.LABEL_VERSION: version,
        contract.LABEL_MANAGED_BY: contract.MANAGED_BY,
        contract.LABEL_PART_OF: contract.PART_OF,
        contract.LABEL_DEPLOYMENT: name,
        contract.LABEL_REVISION: revision,
        contract.LABEL_MODEL_VERSION: version,
    }


def pod_template(
    *, name: str, revision: str, identity: Identity, digest: str | None, settings: Mapping[str, Any], image: str
) -> dict[str, Any]:
    secret_name = settings.get("secretName")
    return {
        "metadata": {"labels": labels_of(name, revision, identity.version)},
        "spec": {
            "automountServiceAccountToken": False,
            # A Service called `headgate` would inject HEADGATE_PORT=tcp://... into every pod of its namespace.
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": contract.GRACE_SECONDS,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": NOBODY,
                "runAsGroup": NOBODY,
                "fsGroup": NOBODY,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "server",
                    "image": image,
                    "ports": [
                        {"name": contract.PORT_NAME, "containerPort": contract.PORT, "protocol": "TCP"},
                        {"name": contract.OPS_PORT_NAME, "containerPort": contract.OPS_PORT, "protocol": "TCP"},
                    ],
                    "env": [
                        *_environment(name, revision, identity, digest, bool(secret_name)),
                        *settings.get("env", []),
                    ],
                    "resources": settings.get("resources", {}),
                    **_probes(),
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": [
                        {"name": "cache", "mountPath": CACHE_DIR},
                        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the pod's own emptyDir
                        *([_credentials_mount()] if secret_name else []),
                    ],
                }
            ],
            "volumes": [
                {"name": "cache", "emptyDir": {}},
                {"name": "tmp", "emptyDir": {}},
                *([{"name": "registry", "secret": {"secretName": secret_name}}] if secret_name else []),
            ],
        },
    }


def _credentials_mount() -> dict[str, Any]:
    return {"name": "registry", "mountPath": CREDENTIALS_DIR, "readOnly": True}


def _environment(
    name: str, revision: str, identity: Identity, digest: str | None, has_credentials: bool
) -> list[dict[str, Any]]:
    values = {
        contract.ENV_MODEL: f"models:/{quote(identity.name, safe='')}/{identity.version}",
        contract.ENV_MODEL_NAME: identity.name,
        contract.ENV_MODEL_VERSION: identity.version,
        contract.ENV_REVISION: revision,
        contract.ENV_REGISTRY_URI: identity.registry,
        **({contract.ENV_REGISTRY_CREDENTIALS: CREDENTIALS_DIR} if has_credentials else {}),
        contract.ENV_CACHE_DIR: CACHE_DIR,
        contract.ENV_HOST: "0.0.0.0",
        contract.ENV_PORT: str(contract.PORT),
        contract.ENV_OPS_PORT: str(contract.OPS_PORT),
        contract.ENV_CONNECTION_MAX_AGE: str(contract.CONNECTION_MAX_AGE_SECONDS),
        contract.ENV_DRAIN_DELAY: str(contract.DRAIN_DELAY_SECONDS),
    }
    return [{"name": key, "value": value} for key, value in values.items()] + [_digest(name, revision, digest)]


def _digest(name: str, revision: str, digest: str | None) -> dict[str, Any]:
    if digest is not None:
        return {"name": contract.ENV_MODEL_DIGEST, "value": digest}
    # Optional: the first pods find out the digest, every later pod must match it, operator or no operator.
    source = {"name": f"{name}-{revision}", "key": contract.DIGEST_KEY, "optional": True}
    return {"name": contract.ENV_MODEL_DIGEST, "valueFrom": {"configMapKeyRef": source}}


def _probes() -> dict[str, Any]:
    alive = {"httpGet": {"path": contract.LIVE_PATH, "port": contract.OPS_PORT_NAME}}
    return {
        # No startupProbe: a restarted kubelet takes every container that has one for not started, and so for not
        # ready, until it has probed anew. All pods of the node would lose their traffic at once.
        "livenessProbe": {
            **alive,
            "initialDelaySeconds": STARTUP_SECONDS,
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 3,
        },
        # On the prediction port: a pod that cannot accept there must not get traffic. A dead process is found out
        # without any probe; one that is slow keeps its traffic for a while, since a busy node slows all pods at once.
        "readinessProbe": {
            "httpGet": {"path": contract.READY_PATH, "port": contract.PORT_NAME},
            "periodSeconds": 2,
            "timeoutSeconds": 5,
            "failureThreshold": 3,
        },
    }
