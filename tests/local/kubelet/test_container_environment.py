"""Environment, command and paths of a container as its process gets them."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from headgate_local.kubelet.environment import ConfigError, all_real, environment, expand, with_real_paths

POD: dict[str, Any] = {
    "metadata": {
        "name": "web-1",
        "namespace": "shop",
        "uid": "u1",
        "labels": {"app": "web", "headgate.dev/revision": "r1"},
    },
    "spec": {"nodeName": "local"},
}
OBJECTS: dict[tuple[str, str], Any] = {
    ("ConfigMap", "settings"): {
        "kind": "ConfigMap",
        "metadata": {"name": "settings"},
        "data": {"digest": "sha256:1", "MODE": "fast"},
    },
    ("Secret", "login"): {
        "kind": "Secret",
        "metadata": {"name": "login"},
        "data": {"password": base64.b64encode(b"s3cret").decode()},
    },
}


def lookup(kind: str, name: str) -> Any:
    return OBJECTS.get((kind, name))


def env_of(*entries: dict[str, Any], **container: Any) -> dict[str, str]:
    found = environment(POD, {"name": "c", "env": list(entries), **container}, "127.64.0.9", lookup)
    found.pop("HEADGATE_HOST")
    return found


def source(kind: str, **ref: Any) -> dict[str, Any]:
    return {"name": "X", "valueFrom": {kind: ref}}


def test_values_come_from_config_maps_secrets_and_fields() -> None:
    assert env_of(source("configMapKeyRef", name="settings", key="digest")) == {"X": "sha256:1"}
    assert env_of(source("secretKeyRef", name="login", key="password")) == {"X": "s3cret"}
    assert env_of(source("fieldRef", fieldPath="metadata.labels['headgate.dev/revision']")) == {"X": "r1"}
    assert env_of(source("fieldRef", fieldPath="status.podIP")) == {"X": "127.64.0.9"}
    assert env_of(source("fieldRef", fieldPath="metadata.namespace")) == {"X": "shop"}


@pytest.mark.parametrize("ref", [{"name": "nope", "key": "digest"}, {"name": "settings", "key": "nope"}])
def test_a_missing_key_is_an_error_unless_optional(ref: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="nope"):
        env_of(source("configMapKeyRef", **ref))
    assert env_of(source("configMapKeyRef", **ref, optional=True)) == {}


def test_env_wins_over_env_from_and_prefixes_are_put_before_keys() -> None:
    sources = [
        {"configMapRef": {"name": "settings"}, "prefix": "S_"},
        {"secretRef": {"name": "gone", "optional": True}},
    ]
    assert env_of({"name": "S_MODE", "value": "slow"}, envFrom=sources) == {"S_digest": "sha256:1", "S_MODE": "slow"}


def test_variables_expand_to_earlier_ones_and_escapes_stay() -> None:
    entries = [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)-$(C)-$$(A)"}, {"name": "C", "value": "3"}]
    assert env_of(*entries)["B"] == "1-$(C)-$(A)"
    assert expand("$$$$ $ $(A", {"A": "1"}) == "$$ $ $(A"


def test_the_pods_own_address_replaces_the_host_to_listen_on() -> None:
    found = environment(
        POD, {"name": "c", "env": [{"name": "HEADGATE_HOST", "value": "0.0.0.0"}]}, "127.64.0.9", lookup
    )
    assert found["HEADGATE_HOST"] == "127.64.0.9"


def test_unsupported_sources_say_so() -> None:
    with pytest.raises(ConfigError, match="resourceFieldRef"):
        env_of(source("resourceFieldRef", resource="limits.cpu"))
    with pytest.raises(ConfigError, match=r"spec\.host"):
        env_of(source("fieldRef", fieldPath="spec.host"))


MOUNTS = {"/models": "/state/models", "/models/extra": "/state/extra", "/tmp": "/state/tmp"}


@pytest.mark.parametrize(
    ("text", "real"),
    [
        ("/models", "/state/models"),
        ("/models/iris", "/state/models/iris"),
        ("/models/extra/x", "/state/extra/x"),
        ("--dir=/tmp/a:/models", "--dir=/state/tmp/a:/state/models"),
        ("file:///models/iris", "file:///state/models/iris"),
        ("/models2", "/models2"),
        ("http://host/models", "http://host/models"),
        ("models:/iris/3", "models:/iris/3"),
        ("/var/tmp", "/var/tmp"),
    ],
)
def test_mount_paths_become_real_folders_only_where_a_path_begins(text: str, real: str) -> None:
    assert with_real_paths(text, MOUNTS) == real


def test_command_and_arguments_are_expanded_then_made_real() -> None:
    assert all_real(["serve", "$(DIR)/a"], {"DIR": "/models"}, MOUNTS) == ("serve", "/state/models/a")
