"""The kubelet: one pod at a time, from what the API wants to processes and back to status.

`sync` is level-triggered; exits and probe results only wake it. Everything it needs of the machine is in `Runtime`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta

from headgate_local.addresses import Addresses
from headgate_local.client import LocalClient
from headgate_local.controllers.events import Events, NoEvents
from headgate_local.controllers.objects import (
    Key,
    Obj,
    is_terminating,
    key_of,
    name_of,
    namespace_of,
    spec_of,
    status_of,
    uid_of,
)
from headgate_local.kubelet import probes, volumes
from headgate_local.kubelet.backoff import Backoff
from headgate_local.kubelet.environment import ConfigError, all_real, environment, with_real_paths
from headgate_local.kubelet.pod_status import pod_status
from headgate_local.kubelet.records import ContainerRecord, Ended, PodRecord
from headgate_local.kubelet.runtime import (
    Check,
    Exit,
    ImageUnavailableError,
    Launch,
    LogOptions,
    LogsUnavailableError,
    PodRef,
    ProbeOutcome,
    Runtime,
    StartFailedError,
)

# Waiting for a Secret or ConfigMap: its creation wakes the pod at once, this is the safety net.
_CONFIG_RETRY = 10.0
_START_FAILED = 128


class Kubelet:
    def __init__(
        self,
        client: LocalClient,
        runtime: Runtime,
        addresses: Addresses,
        now: Callable[[], datetime],
        *,
        wake: Callable[[Key], None],
        events: Events | None = None,
        backoff_base: float = 10.0,
    ) -> None:
        self._client, self._runtime, self._addresses, self._now = client, runtime, addresses, now
        self._wake = wake
        self._events: Events = events or NoEvents()
        self._backoff = Backoff(base=backoff_base)
        self._records: dict[Key, PodRecord] = {}
        self._by_container: dict[str, tuple[Key, str]] = {}
        runtime.on_exit(self._exited)

    # One pod

    def sync(self, namespace: str, name: str) -> float | None:
        key = (namespace, name)
        pod = self._client.get("Pod", namespace, name)
        record = self._records.get(key)
        if record is not None and (pod is None or uid_of(pod) != record.ref.uid):
            # Taken away without waiting for us (force, or a new pod of the same name): no grace is left to give.
            return self._end_now(key, record)
        if pod is None or not spec_of(pod).get("nodeName"):
            return None
        if record is None:
            if status_of(pod).get("phase") in ("Succeeded", "Failed") or is_terminating(pod):
                if is_terminating(pod):
                    self._remove(pod)
                return None
            record = self._records[key] = self._new_record(pod)
        record.last_object = pod
        if is_terminating(pod):
            return self._terminate(key, pod, record)
        waits = [self._advance(pod, spec, record) for spec in spec_of(pod)["containers"]]
        self._write_status(pod, record)
        return min((wait for wait in waits if wait is not None), default=None)

    def _new_record(self, pod: Obj) -> PodRecord:
        ip = self._addresses.pods.take(uid_of(pod))
        ref = PodRef(namespace_of(pod), name_of(pod), uid_of(pod), ip)
        containers = {
            spec["name"]: ContainerRecord(spec["name"], self._backoff, self._backoff)
            for spec in spec_of(pod)["containers"]
        }
        return PodRecord(ref, containers, self._now())

    def _write_status(self, pod: Obj, record: PodRecord) -> None:
        status = {**status_of(pod), **pod_status(pod, record, self._now())}
        if status != status_of(pod):
            record.last_object = self._client.update_status({**pod, "status": status})

    # One container

    def _advance(self, pod: Obj, spec: Obj, record: PodRecord) -> float | None:
        container = record.containers[spec["name"]]
        if container.is_running:
            self._follow_sources(pod, record)
            return self._kill_if_unhealthy(pod, container)
        if not container.may_restart(spec_of(pod).get("restartPolicy", "Always")):
            return None
        if container.ended:
            wait = container.backoff.remaining(container.ended.finished, self._now())
            if wait > 0:
                self._tell_crash_loop(pod, container)
                return wait
        return self._start(pod, spec, record, container)

    def _kill_if_unhealthy(self, pod: Obj, container: ContainerRecord) -> float | None:
        if container.health is None or container.health.unhealthy is None or container.container_id is None:
            return None
        now = self._now()
        if container.term_sent is None:
            container.term_sent = now
            message = f"Container {container.name} {container.health.unhealthy}, will be restarted"
            self._events.normal(pod, "Killing", message)
            self._runtime.signal(container.container_id, kill=False)
        grace = container.health.kill_grace
        return self._kill_after(container, _grace(pod) if grace is None else grace)

    def _kill_after(self, container: ContainerRecord, grace: float) -> float | None:
        """Seconds until SIGKILL is due; sends it when it is."""
        if container.killed or container.term_sent is None or container.container_id is None:
            return None
        left = (container.term_sent + timedelta(seconds=grace) - self._now()).total_seconds()
        if left > 0:
            return left
        container.killed = True
        self._runtime.signal(container.container_id, kill=True)
        return None

    def _tell_crash_loop(self, pod: Obj, container: ContainerRecord) -> None:
        wait = f"{container.backoff.wait:g}s"
        message = f"back-off {wait} restarting failed container={container.name} pod={name_of(pod)}"
        container.waiting = ("CrashLoopBackOff", message)
        self._tell_once(pod, container, "BackOff", f"Back-off restarting failed container {container.name}")

    # Starting

    def _start(self, pod: Obj, spec: Obj, record: PodRecord, container: ContainerRecord) -> float | None:
        wait = self._pull(pod, spec, container)
        if wait is not None:
            return wait
        try:
            self._mount(pod, record)
            launch = self._launch(pod, spec, record, container)
            health = self._health(pod, spec, record, container)
        except volumes.MountError as error:
            container.waiting = ("ContainerCreating", "")
            self._tell_once(pod, container, "FailedMount", str(error))
            return _CONFIG_RETRY
        except (ConfigError, probes.ProbeError) as error:
            container.waiting = ("CreateContainerConfigError", str(error))
            self._tell_once(pod, container, "Failed", f"Error: {error}")
            return _CONFIG_RETRY
        self._run(pod, container, launch, health)
        return None

    def _pull(self, pod: Obj, spec: Obj, container: ContainerRecord) -> float | None:
        image, now = spec.get("image", ""), self._now()
        if container.pull_failed is not None:
            wait = container.pull_backoff.remaining(container.pull_failed, now)
            if wait > 0:
                container.waiting = ("ImagePullBackOff", f'Back-off pulling image "{image}"')
                return wait
        try:
            self._runtime.pull(image)
        except ImageUnavailableError as error:
            container.pull_failed = now
            container.pull_backoff = container.pull_backoff.after_start(now, now)
            container.waiting = ("ErrImagePull", str(error))
            self._tell_once(pod, container, "Failed", f'Failed to pull image "{image}": {error}')
            # Shown as ErrImagePull for a moment, then as ImagePullBackOff until the next attempt.
            return 1.0
        container.pull_failed = None
        return None

    def _mount(self, pod: Obj, record: PodRecord) -> None:
        files = volumes.files_of(pod, self._lookup(record))
        fingerprint = volumes.fingerprint(files)
        if record.fingerprint != fingerprint:
            record.folders = dict(self._runtime.materialise(record.ref, files))
            record.fingerprint = fingerprint

    def _follow_sources(self, pod: Obj, record: PodRecord) -> None:
        """Mounted ConfigMaps and Secrets follow their source while the pod runs; one that is gone changes nothing."""
        try:
            self._mount(pod, record)
        except volumes.MountError:
            return

    def _lookup(self, record: PodRecord) -> Callable[[str, str], Obj | None]:
        def find(kind: str, name: str) -> Obj | None:
            record.uses = record.uses | {(kind, name)}
            return self._client.get(kind, record.ref.namespace, name)

        return find

    def _launch(self, pod: Obj, spec: Obj, record: PodRecord, container: ContainerRecord) -> Launch:
        if spec_of(pod).get("initContainers"):
            raise ConfigError("init containers are not supported by the local plane")
        mounts = volumes.mounts_of(pod, spec, record.folders)
        env = environment(pod, spec, record.ref.ip, self._lookup(record))
        working_dir = spec.get("workingDir")
        return Launch(
            pod=record.ref,
            container=container.name,
            attempt=container.attempt,
            image=spec.get("image", ""),
            command=all_real(spec.get("command") or [], env, mounts),
            args=all_real(spec.get("args") or [], env, mounts),
            env={name: with_real_paths(value, mounts) for name, value in env.items()},
            labels=pod["metadata"].get("labels") or {},
            working_dir=with_real_paths(working_dir, mounts) if working_dir else None,
            mounts=mounts,
        )

    def _health(self, pod: Obj, spec: Obj, record: PodRecord, container: ContainerRecord) -> probes.Health:
        found = {
            kind: probe
            for kind, field in (
                (probes.STARTUP, "startupProbe"),
                (probes.READINESS, "readinessProbe"),
                (probes.LIVENESS, "livenessProbe"),
            )
            if (probe := probes.probe_of(spec, field, record.ref.ip))
        }

        async def ask(check: Check, timeout: float) -> ProbeOutcome:
            return await self._runtime.probe(container.container_id or "", check, timeout)

        def failed(kind: str, message: str) -> None:
            self._events.warning(pod, "Unhealthy", f"{kind} probe failed: {message}")

        return probes.Health(found, ask=ask, changed=lambda: self._wake(key_of(pod)), failed=failed)

    def _run(self, pod: Obj, container: ContainerRecord, launch: Launch, health: probes.Health) -> None:
        now = self._now()
        if container.ended:
            container.backoff = container.backoff.after_start(container.ended.finished, now)
        container.before, container.ended = container.ended or container.before, None
        container.waiting = ("ContainerCreating", "")
        container.term_sent, container.killed, container.started = None, False, now
        container.attempt += 1
        container.told.clear()
        try:
            container.container_id = self._runtime.start(launch)
        except StartFailedError as error:
            container.container_id = None
            container.ended = Ended("", _START_FAILED, 0, "StartError", str(error), now, now)
            self._events.warning(pod, "Failed", f"Error: {error}")
            self._wake(key_of(pod))
            return
        self._by_container[container.container_id] = (key_of(pod), container.name)
        container.health = health
        health.start()
        self._events.normal(pod, "Started", f"Started container {container.name}")

    def _exited(self, container_id: str, end: Exit) -> None:
        found = self._by_container.pop(container_id, None)
        if found is None:
            return
        key, name = found
        record = self._records[key]
        container = record.containers[name]
        if container.health:
            container.health.stop()
        container.health, container.container_id = None, None
        started, now = container.started or record.began, self._now()
        reason = end.reason or ("Completed" if end.code == 0 else "Error")
        container.ended = Ended(container_id, end.code, end.signal, reason, end.message, started, now)
        self._wake(key)

    # Ending

    def _terminate(self, key: Key, pod: Obj, record: PodRecord) -> float | None:
        now = self._now()
        record.terminating = record.terminating or now
        waits = []
        for container in record.containers.values():
            if not container.is_running or container.container_id is None:
                continue
            if container.health:
                container.health.stop(keep_readiness=True)
            if container.term_sent is None or container.term_sent < record.terminating:
                container.term_sent, container.killed = now, False
                self._events.normal(pod, "Killing", f"Stopping container {container.name}")
                self._runtime.signal(container.container_id, kill=False)
            waits.append(self._kill_after(container, _deletion_grace(pod)))
        self._write_status(pod, record)
        if record.is_running:
            return min((wait for wait in waits if wait is not None), default=None)
        self._forget(key, record)
        self._remove(pod)
        return None

    def _remove(self, pod: Obj) -> None:
        self._client.delete("Pod", namespace_of(pod), name_of(pod), uid=uid_of(pod), grace=0)

    def _end_now(self, key: Key, record: PodRecord) -> float | None:
        for container in record.containers.values():
            if container.is_running and container.container_id and not container.killed:
                container.killed = True
                self._runtime.signal(container.container_id, kill=True)
        if not record.is_running:
            self._forget(key, record)
            return 0.0  # a new pod of the same name may be waiting
        return None

    def _forget(self, key: Key, record: PodRecord) -> None:
        for container in record.containers.values():
            if container.health:
                container.health.stop()
        self._addresses.pods.give_back(record.ref.uid)
        self._runtime.remove(record.ref)
        del self._records[key]

    async def stop(self) -> None:
        for record in self._records.values():
            for container in record.containers.values():
                if container.health:
                    container.health.stop()
        await self._runtime.close()

    # For others

    def users_of(self, kind: str, namespace: str, name: str) -> list[Key]:
        """Pods that read this ConfigMap or Secret, or wait for it."""
        return [key for key, record in self._records.items() if key[0] == namespace and (kind, name) in record.uses]

    def logs(self, namespace: str, pod: str, container: str | None, options: LogOptions) -> AsyncIterator[bytes]:
        record = self._records.get((namespace, pod))
        if record is None:
            raise LogsUnavailableError(f'pod "{pod}" has no running or ended container')
        found = record.containers.get(container or next(iter(record.containers)))
        if found is None:
            raise LogsUnavailableError(f"container {container} is not valid for pod {pod}")
        attempt = found.attempt - (2 if options.previous else 1)
        if attempt < 0:
            kind = "previous terminated container" if options.previous else "container"
            raise LogsUnavailableError(f'{kind} "{found.name}" in pod "{pod}" is waiting to start or not found')
        return self._runtime.logs(record.ref, found.name, attempt, options)

    def _tell_once(self, pod: Obj, container: ContainerRecord, reason: str, message: str) -> None:
        if message not in container.told:
            container.told.add(message)
            self._events.warning(pod, reason, message)


def _grace(pod: Obj) -> float:
    seconds = spec_of(pod).get("terminationGracePeriodSeconds")
    return 30.0 if seconds is None else float(seconds)


def _deletion_grace(pod: Obj) -> float:
    seconds = pod["metadata"].get("deletionGracePeriodSeconds")
    return _grace(pod) if seconds is None else float(seconds)
