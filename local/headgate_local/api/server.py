"""The API server: requests in, answers out, no I/O.

`ApiServer.handle` is the whole of it. The HTTPS front, the controllers, the simulation and the tests all come through
this one function, so every rule holds for all of them.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime

from headgate_local import errors
from headgate_local.access.escalation import Escalation
from headgate_local.access.gate import Gate
from headgate_local.access.users import DEFAULT_SECONDS, ISSUER, seconds_errors
from headgate_local.api import bodies, discovery, negotiation, openapi, reviews
from headgate_local.api.builtin import services
from headgate_local.api.builtin.registry import rules_of
from headgate_local.api.clock import rfc3339
from headgate_local.api.deletion import Deleter
from headgate_local.api.options import Options
from headgate_local.api.request import Request, Response
from headgate_local.api.resources import Resources
from headgate_local.api.routing import Target, parse
from headgate_local.api.rules import Rules
from headgate_local.api.writing import Writer
from headgate_local.crd.definition import kinds_of
from headgate_local.crd.rules import CustomRules, DefinitionRules
from headgate_local.errors import ApiError
from headgate_local.kinds import Kind, Kinds
from headgate_local.store import Change, Obj, Store

CRDS = "customresourcedefinitions.apiextensions.k8s.io"
DEFAULT_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
Logs = Callable[[str, str, Mapping[str, str]], AsyncIterator[bytes]]


class ApiServer:
    def __init__(self, *, now: Callable[[], datetime], uid: Callable[[], str] = lambda: str(uuid.uuid4())) -> None:
        self.store = Store()
        self.kinds = Kinds()
        # Set by whoever runs pods; without it there are no logs to read.
        self.logs: Logs | None = None
        # Set by whoever routes traffic: the address of a Service by its uid.
        self.service_address: Callable[[str], str] | None = None
        # May add to a new Service, in place, what is known once it has its address.
        self.complete_service: Callable[[Obj], None] | None = None
        self.gate = Gate(self.store, self.kinds, now)
        self._now = now
        self._definition_rules = DefinitionRules(now)
        escalation = Escalation(self.store, self.kinds, self.gate.authorizer)
        writer = Writer(
            self.store, self.kinds, self._rules, now=now, uid=uid, complete=self._complete, guard=escalation.check
        )
        self._resources = Resources(self.store, self.kinds, writer, Deleter(self.store, now=now), now=now)
        self.store.on_change(self._follow_definitions)
        for name in DEFAULT_NAMESPACES:
            writer.create(
                Target(self.kinds.named("Namespace")), {"metadata": {"name": name}}, Options("kube-apiserver")
            )
        # As in any cluster that did not begin this minute, its very first version is out of reach.
        self.store.compact()

    def handle(self, request: Request) -> Response:
        try:
            return self._answer(request)
        except ApiError as error:
            return Response(error.status, error.body())

    def _answer(self, request: Request) -> Response:
        if request.path in discovery.HEALTH or request.path.startswith(tuple(f"{one}/" for one in discovery.HEALTH)):
            return Response(200, "ok")
        request = self.gate.passed(request)
        about = request.method in ("GET", "HEAD")
        known = self._about_the_server(request) if about else reviews.answer(request, self.gate.authorizer)
        if known is not None:
            return known
        target = parse(self.kinds, request.path)
        if target.subresource == "log":
            return self._log(target, request)
        if target.subresource == "token":
            return self._token(target, request)
        return self._resources.answer(target, request)

    def _about_the_server(self, request: Request) -> Response | None:
        form = negotiation.form_of(request.headers.get("accept", ""))
        parts = [part for part in request.path.split("/") if part]
        wants_all = form.shape == "APIGroupDiscoveryList"
        match parts:
            case ["version"]:
                return Response(200, discovery.version())
            case ["api" | "apis" as root] if wants_all:
                headers = {"content-type": f"application/json;g=apidiscovery.k8s.io;v=v2;as={form.shape}"}
                return Response(200, discovery.aggregated(self.kinds, core=root == "api"), headers)
            case ["api"]:
                return Response(200, discovery.core_versions())
            case ["apis"]:
                return Response(200, discovery.group_list(self.kinds))
            case ["apis", group]:
                return _found(discovery.one_group(self.kinds, group))
            case ["api", version]:
                return _found(discovery.resource_list(self.kinds, "", version))
            case ["apis", group, version]:
                return _found(discovery.resource_list(self.kinds, group, version))
            case ["openapi", "v2"]:
                return Response(200, openapi.swagger(self.kinds))
            case ["openapi", "v3"]:
                return Response(200, openapi.index(self.kinds))
            case ["openapi", "v3", "api", version]:
                return _found(openapi.document(self.kinds, "", version))
            case ["openapi", "v3", "apis", group, version]:
                return _found(openapi.document(self.kinds, group, version))
            case _:
                return None

    def _log(self, target: Target, request: Request) -> Response:
        self._resources.live(target)
        if self.logs is None:
            raise errors.bad_request(f'there is nothing that runs pod "{target.name}", so it has no log')
        return Response(200, stream=self.logs(target.namespace, target.name, request.query))

    def _token(self, target: Target, request: Request) -> Response:
        """A token for a service account, as a request for one asks."""
        if request.method != "POST":
            raise errors.method_not_allowed()
        account = self._resources.live(target)
        asked = bodies.read_typed(request, "k8s.io.api.authentication.v1.TokenRequest")
        spec = asked.get("spec") or {}
        if spec.get("boundObjectRef"):
            raise errors.bad_request("the local plane issues no tokens that are bound to an object")
        wrong = seconds_errors(spec)
        if wrong:
            raise errors.invalid_object("TokenRequest", "authentication.k8s.io", "", wrong)
        seconds = spec.get("expirationSeconds", DEFAULT_SECONDS)
        token, ends = self.gate.tokens.issue(account, seconds)
        kept = ("name", "namespace", "uid")
        meta = {name: account["metadata"][name] for name in kept} | {"creationTimestamp": rfc3339(self._now())}
        told = {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": meta,
            "spec": {"audiences": [ISSUER], "expirationSeconds": seconds, "boundObjectRef": None},
            "status": {"token": token, "expirationTimestamp": rfc3339(datetime.fromtimestamp(ends, UTC))},
        }
        return Response(201, told)

    def _rules(self, kind: Kind) -> Rules:
        if kind.custom:
            return CustomRules(kind)
        return self._definition_rules if kind.resource == CRDS else rules_of(kind.resource)

    def _complete(self, kind: Kind, obj: Obj) -> None:
        if kind.resource != "services":
            return
        if self.service_address is not None:
            services.give_address(obj, self.service_address)
        if self.complete_service is not None:
            self.complete_service(obj)

    def _follow_definitions(self, change: Change) -> None:
        """A definition serves its kinds from the moment it is stored, and takes their objects with it when it goes."""
        if change.resource != CRDS:
            return
        spec = change.object["spec"]
        group, plural = spec["group"], spec["names"]["plural"]
        if change.type == "DELETED":
            self._drop_objects(group, plural)
        self.kinds.remove(group, plural)
        if change.type != "DELETED":
            for kind in kinds_of(change.object):
                self.kinds.add(kind)
                self.store.begin(kind.resource)

    def _drop_objects(self, group: str, plural: str) -> None:
        for kind in [one for one in self.kinds if (one.group, one.plural) == (group, plural)][:1]:
            for obj in self.store.all(kind):
                self.store.remove(kind, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])


def _found(body: dict[str, object] | None) -> Response:
    if body is None:
        raise errors.unknown_path()
    return Response(200, body)
