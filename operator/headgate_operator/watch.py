"""Wake-ups from the cluster: the only importer of kopf, which is used as an event source and for nothing else.

Only `on.event` handlers: they write nothing to any object, and their body is a call that adds a key to the queue. What
an event says is never used, since it may be old; the reconciler reads live. kopf never tells of objects that vanished
while it was disconnected, so a new list wakes every deployment we know.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Thread
from typing import Any

import kopf

from headgate_operator import contract
from headgate_operator.freshness import Freshness
from headgate_operator.ports import Key

MANAGED = {contract.LABEL_MANAGED_BY: contract.MANAGED_BY}
STOP_SECONDS = 2.0
CLOSE_SECONDS = 0.2
RELIST_PAUSE = 0.5  # a list arrives object by object; all keys are woken once, when it has arrived

# kind -> group, version, plural
WATCHED: dict[str, tuple[str, str, str]] = {
    contract.KIND: (contract.GROUP, contract.VERSION, contract.PLURAL),
    "Deployment": ("apps", "v1", "deployments"),
    "Service": ("", "v1", "services"),
    "Pod": ("", "v1", "pods"),
    "EndpointSlice": ("discovery.k8s.io", "v1", "endpointslices"),
}


@dataclass(frozen=True)
class Connection:
    """How kopf reaches the API server, as of now."""

    server: str
    ca_path: str | None = None
    insecure: bool = False
    certificate_path: str | None = None
    private_key_path: str | None = None
    authorization: str | None = None  # "Bearer ..."


def labels_for(kind: str) -> dict[str, str]:
    """What narrows a watch or a list of `kind` to our own objects."""
    return {} if kind == contract.KIND else MANAGED


def key_of(kind: str, namespace: str, name: str, labels: dict[str, str]) -> Key | None:
    """The deployment that an object is about."""
    if kind == contract.KIND:
        return Key(namespace, name)
    owner = labels.get(contract.LABEL_DEPLOYMENT)
    return Key(namespace, owner) if owner else None


class Watch:
    """Runs kopf in a thread with an event loop of its own, and tells the caller's loop what it heard.

    On ours it would take over the signals, and at its end cancel every task that was begun after it: passes, polls and
    the renewal of the lease.
    """

    def __init__(
        self,
        *,
        connect: Callable[[], Coroutine[Any, Any, Connection]],
        namespaces: Collection[str],
        wake: Callable[[Key], None],
        relisted: Callable[[], None],
        freshness: Freshness,
    ) -> None:
        self._connect, self._namespaces = connect, namespaces
        self._wake, self._relisted, self._freshness = wake, relisted, freshness
        self._pause: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    async def run(self) -> None:
        """Returns only by an error (kopf gives up after minutes without an API server) or by cancellation."""
        ended: asyncio.Future[BaseException | None] = self._loop.create_future()
        inner: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = Future()
        Thread(target=self._kopf, args=(inner, ended), name="watch", daemon=True).start()
        loop, task = await asyncio.wrap_future(inner)
        try:
            error = await asyncio.shield(ended)
            raise RuntimeError("the watch ended") from error
        finally:
            if self._pause is not None:
                self._pause.cancel()
            if not ended.done():
                loop.call_soon_threadsafe(task.cancel)
                await asyncio.wait([ended], timeout=STOP_SECONDS)

    def _kopf(
        self,
        inner: "Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]]",
        ended: "asyncio.Future[BaseException | None]",
    ) -> None:
        async def run() -> None:
            task = asyncio.create_task(
                kopf.operator(
                    registry=self._registry(),
                    settings=settings(),
                    clusterwide=not self._namespaces,
                    namespaces=self._namespaces,
                ),
                name="kopf",
            )
            inner.set_result((asyncio.get_running_loop(), task))
            try:
                await task
            finally:
                # kopf does not wait for its connections to be closed, and a loop that ends first never closes them.
                await asyncio.sleep(CLOSE_SECONDS)

        error: BaseException | None = None
        try:
            asyncio.run(run())
        except asyncio.CancelledError:
            pass
        except BaseException as raised:  # noqa: BLE001 - handed over to the loop that waits for it
            error = raised
        self._tell(_settle, ended, error)

    def _tell(self, call: Callable[..., None], *arguments: Any) -> None:
        # The loop may be closed already: then nobody wants to know.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call, *arguments)

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry)(self._login)
        for kind, (group, version, plural) in WATCHED.items():
            kopf.on.event(group, version, plural, registry=registry, id=f"wake-{plural}")(self._handler(kind))
        return registry

    async def _login(self, **_kwargs: Any) -> kopf.ConnectionInfo:
        told = await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._connect(), self._loop))
        scheme, _, token = (told.authorization or "").partition(" ")
        return kopf.ConnectionInfo(
            server=told.server,
            ca_path=told.ca_path,
            insecure=told.insecure,
            certificate_path=told.certificate_path,
            private_key_path=told.private_key_path,
            scheme=scheme or None,
            token=token or None,
        )

    def _handler(self, kind: str) -> Callable[..., Awaitable[None]]:
        async def on_event(event: dict[str, Any], **_: Any) -> None:
            self._tell(self._on_event, kind, dict(event))

        return on_event

    def _on_event(self, kind: str, event: dict[str, Any]) -> None:
        meta = event["object"]["metadata"]
        namespace, name = meta.get("namespace", ""), meta["name"]
        listed = event["type"] is None
        gone = event["type"] == "DELETED"
        self._freshness.heard(kind, (namespace, name), meta.get("resourceVersion", ""), gone=gone, listed=listed)
        key = key_of(kind, namespace, name, dict(meta.get("labels") or {}))
        if key is not None:
            self._wake(key)
        if listed and self._pause is None:
            self._pause = self._loop.call_later(RELIST_PAUSE, self._relist_over)

    def _relist_over(self) -> None:
        self._pause = None
        self._relisted()


def _settle(ended: "asyncio.Future[BaseException | None]", error: BaseException | None) -> None:
    if not ended.done():
        ended.set_result(error)


def settings() -> kopf.OperatorSettings:
    """Fresh for each run: kopf changes them."""
    logging.getLogger("kopf").setLevel(logging.WARNING)
    # It warns that it does not catch signals in a thread, which is the point of the thread.
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
    s = kopf.OperatorSettings()
    s.peering.standalone = True  # our own Lease elects
    s.scanning.disabled = True  # needs neither CustomResourceDefinitions nor Namespaces
    s.posting.enabled = False  # we post our own Events, on transitions only
    selector = ",".join(f"{key}={value}" for key, value in MANAGED.items())
    for kind, (_, _, plural) in WATCHED.items():
        if kind != contract.KIND:
            s.watching.label_selectors[plural] = selector
    s.watching.chunk_size = 500
    s.watching.connect_timeout = 10
    s.networking.request_timeout = 15
    # About five minutes of a failing API server before kopf, and we with it, give up and start anew.
    s.networking.error_backoffs = (1, 1, 2, 3, 5, 8, 13, 21, 30, 30, 30, 30, 30, 30, 30, 30)
    return s
