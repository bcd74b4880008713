"""`headgate local status`: asks the running plane over its own API, as any client would."""

from __future__ import annotations

import base64
import json
import ssl
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

import yaml

from headgate_local.addresses import ADDRESS_ANNOTATION
from headgate_local.controllers.objects import Obj, annotations_of, name_of, namespace_of, spec_of, status_of
from headgate_local.controllers.pods import is_ready
from headgate_local.state_folder import StateFolder

_TIMEOUT = 5.0


class PlaneUnreachableError(Exception):
    """The API does not answer, or not as an API."""


def report(state: StateFolder) -> list[str]:
    try:
        ask = _Asker(yaml.safe_load(state.kubeconfig.read_text()))
        pods, services = ask.list("pods"), ask.list("services")
    except (OSError, URLError, ValueError, KeyError) as error:
        raise PlaneUnreachableError(str(error)) from error
    lines = [f"API        {ask.server}", f"KUBECONFIG {state.kubeconfig}", f"state      {state.path}", ""]
    lines += _table("PODS", ["NAMESPACE", "NAME", "READY", "STATUS", "RESTARTS", "ADDRESS"], map(_pod_row, pods))
    columns = ["NAMESPACE", "NAME", "CLUSTER-IP", "PORTS", "LISTENS ON"]
    return [*lines, "", *_table("SERVICES", columns, map(_service_row, services))]


class _Asker:
    def __init__(self, kubeconfig: dict[str, Any]) -> None:
        cluster = kubeconfig["clusters"][0]["cluster"]
        user = kubeconfig["users"][0]["user"]
        self.server = str(cluster["server"])
        context = ssl.create_default_context(cadata=_authority(cluster))
        # A proxy of the environment has no way to our loopback address.
        self._opener = build_opener(ProxyHandler({}), HTTPSHandler(context=context))
        self._headers = {"Authorization": f"Bearer {user['token']}", "Accept": "application/json"}

    def list(self, plural: str) -> list[Obj]:
        request = Request(f"{self.server}/api/v1/{plural}", headers=self._headers)  # noqa: S310 - https, from our file
        with self._opener.open(request, timeout=_TIMEOUT) as answer:
            items: list[Obj] = json.load(answer)["items"]
        return items


def _authority(cluster: dict[str, Any]) -> str:
    if "certificate-authority-data" in cluster:
        return base64.b64decode(cluster["certificate-authority-data"]).decode()
    return Path(cluster["certificate-authority"]).read_text()


def _pod_row(pod: Obj) -> list[str]:
    statuses = status_of(pod).get("containerStatuses") or []
    ready = sum(bool(s.get("ready")) for s in statuses)
    restarts = sum(int(s.get("restartCount", 0)) for s in statuses)
    total = len(spec_of(pod).get("containers") or [])
    address = status_of(pod).get("podIP", "")
    return [namespace_of(pod), name_of(pod), f"{ready}/{total}", _pod_word(pod, statuses), str(restarts), address]


def _pod_word(pod: Obj, statuses: list[Obj]) -> str:
    if pod["metadata"].get("deletionTimestamp"):
        return "Terminating"
    for status in statuses:
        waiting = (status.get("state") or {}).get("waiting")
        if waiting:
            return str(waiting["reason"])
    phase = str(status_of(pod).get("phase", "Pending"))
    return phase if phase != "Running" or is_ready(pod) else "NotReady"


def _service_row(service: Obj) -> list[str]:
    ports = ",".join(str(port["port"]) for port in spec_of(service).get("ports") or [])
    address = annotations_of(service).get(ADDRESS_ANNOTATION, "-")
    return [namespace_of(service), name_of(service), spec_of(service).get("clusterIP") or "-", ports, address]


def _table(title: str, columns: list[str], rows: Any) -> list[str]:
    found = [columns, *rows]
    if len(found) == 1:
        return [f"{title}: none"]
    widths = [max(len(row[i]) for row in found) for i in range(len(columns))]
    lines = ("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in found)
    return [title, *(f"  {line.rstrip()}" for line in lines)]
