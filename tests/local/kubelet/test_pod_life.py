"""A pod from Pending to its end: waiting reasons, crash back-off, restart policies and graceful termination."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from fake_runtime import Script
from plane_world import World, deployment, eventually, pod, scripted_plane, service

pytestmark = pytest.mark.looptime


def seconds() -> float:
    return asyncio.get_running_loop().time()


def waiting(world: World) -> str:
    return str(world.container_status().get("state", {}).get("waiting", {}).get("reason", ""))


async def start_times(world: World, count: int) -> list[float]:
    """Seconds between the first `count` starts of the pod's container."""
    times: list[float] = []
    seen: set[str] = set()

    def note() -> bool:
        for container in world.runtime.containers.values():
            if container.id not in seen:
                seen.add(container.id)
                times.append(container.started)
        return len(times) >= count

    await eventually(note, within=5000, every=0.2)
    return [round(later - earlier) for earlier, later in pairwise(times)]


async def test_crashing_container_restarts_at_once_then_backs_off_doubling_to_five_minutes() -> None:
    plane, runtime = scripted_plane(Script(crash_after=1.0))
    async with plane:
        world = World(plane, runtime)
        plane.client.create(pod())
        gaps = await start_times(world, 10)
        assert gaps == [1, 11, 21, 41, 81, 161, 301, 301, 301]
        await eventually(lambda: waiting(world) == "CrashLoopBackOff")
        status = world.container_status()
        assert status["restartCount"] == 9
        assert status["lastState"]["terminated"]["exitCode"] == 1
        assert status["lastState"]["terminated"]["reason"] == "Error"
        assert world.pod()["status"]["phase"] == "Running"


async def test_back_off_is_forgotten_after_ten_good_minutes() -> None:
    plane, runtime = scripted_plane(Script(crash_after=1.0, crashes=3))
    async with plane:
        world = World(plane, runtime)
        plane.client.create(pod())
        await eventually(lambda: world.container_status().get("restartCount") == 3 and world.ready())
        await asyncio.sleep(620)
        crashed = seconds()
        runtime.crash("web")
        await eventually(lambda: world.container_status()["restartCount"] == 4)
        assert seconds() - crashed < 1


async def test_back_off_base_is_configurable() -> None:
    plane, runtime = scripted_plane(Script(crash_after=1.0), backoff_base=2.0)
    async with plane:
        plane.client.create(pod())
        assert await start_times(World(plane, runtime), 5) == [1, 3, 5, 9]


@pytest.mark.parametrize(
    ("policy", "code", "phase", "starts"),
    [
        ("Never", 0, "Succeeded", 1),
        ("Never", 3, "Failed", 1),
        ("OnFailure", 0, "Succeeded", 1),
        ("OnFailure", 3, "Running", 2),
        ("Always", 0, "Running", 2),
    ],
)
async def test_restart_policy_decides_what_follows_an_exit(policy: str, code: int, phase: str, starts: int) -> None:
    plane, runtime = scripted_plane(Script(crash_after=1.0, crash_code=code, crashes=1))
    async with plane:
        world = World(plane, runtime)
        plane.client.create(pod(spec={"restartPolicy": policy}))
        await asyncio.sleep(5)
        assert world.pod()["status"]["phase"] == phase
        assert len(runtime.launches) == starts


async def test_unknown_image_waits_with_back_off_and_starts_once_there_is_one() -> None:
    plane, runtime = scripted_plane()
    runtime.unavailable_images.add("web:1")
    async with plane:
        world = World(plane, runtime)
        plane.client.create(pod())
        await eventually(lambda: waiting(world) == "ErrImagePull", within=1)
        await eventually(lambda: waiting(world) == "ImagePullBackOff", within=5)
        assert world.pod()["status"]["phase"] == "Pending"
        runtime.unavailable_images.clear()
        await eventually(world.ready, within=15)


async def test_missing_config_map_is_a_config_error_until_it_is_there() -> None:
    plane, runtime = scripted_plane()
    env = [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "a"}}}]
    async with plane:
        world = World(plane, runtime)
        plane.client.create(pod(env=env))
        await eventually(lambda: waiting(world) == "CreateContainerConfigError")
        assert 'configmap "settings" not found' in world.container_status()["state"]["waiting"]["message"]
        metadata = {"name": "settings", "namespace": "default"}
        plane.client.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "1"}})
        await eventually(lambda: runtime.launches, within=1)
        assert runtime.launches[0].env["A"] == "1"


async def test_missing_secret_of_a_volume_keeps_the_pod_creating() -> None:
    plane, runtime = scripted_plane()
    volumes = [{"name": "keys", "secret": {"secretName": "keys"}}]
    async with plane:
        world = World(plane, runtime)
        plane.client.create(pod(spec={"volumes": volumes}, volumeMounts=[{"name": "keys", "mountPath": "/keys"}]))
        await eventually(lambda: waiting(world) == "ContainerCreating")
        await asyncio.sleep(30)
        assert not runtime.launches
        metadata = {"name": "keys", "namespace": "default"}
        plane.client.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"k": "dg=="}})
        await eventually(world.ready)


async def test_node_selector_that_fits_no_node_is_unschedulable() -> None:
    plane, runtime = scripted_plane()
    async with plane:
        world = World(plane, runtime)
        plane.client.create(pod(spec={"nodeSelector": {"gpu": "yes"}}))
        condition = await eventually(lambda: world.pod().get("status", {}).get("conditions"))
        assert (condition[0]["type"], condition[0]["reason"]) == ("PodScheduled", "Unschedulable")
        plane.client.delete("Pod", "default", "web")
        assert not world.pods()


async def test_terminating_pod_leaves_the_service_before_it_is_asked_to_stop() -> None:
    plane, runtime = scripted_plane(Script(drain=5.0))
    async with plane:
        world = World(plane, runtime)
        plane.client.create(service())
        plane.client.create(deployment(2))
        await eventually(lambda: sum(e["conditions"]["ready"] for e in world.endpoints()) == 2)
        order: list[Any] = []
        victim = world.pods()[0]["metadata"]["name"]
        ask = runtime.signal

        def signalled(container_id: str, *, kill: bool) -> None:
            order.append("signal")
            ask(container_id, kill=kill)

        def seen(change: Any) -> None:
            if change.kind == "EndpointSlice":
                told = [e["conditions"] for e in change.new["endpoints"] if e["targetRef"]["name"] == victim]
                order.extend(conditions for conditions in told if conditions["terminating"])

        runtime.signal = signalled  # type: ignore[method-assign]
        stop = plane.api.store.on_change(seen)
        plane.client.delete("Pod", "default", victim)
        await eventually(lambda: plane.client.get("Pod", "default", victim) is None, within=6)
        stop()
        assert order[:2] == [{"ready": False, "serving": True, "terminating": True}, "signal"]
        await eventually(lambda: victim not in [e["targetRef"]["name"] for e in world.endpoints()], within=1)


async def test_pod_that_ignores_sigterm_is_killed_after_its_grace_period() -> None:
    plane, runtime = scripted_plane(Script(ignores_term=True))
    async with plane:
        world = World(plane, runtime)
        plane.client.create(pod(spec={"terminationGracePeriodSeconds": 12}))
        await eventually(world.ready)
        plane.client.delete("Pod", "default", "web")
        began = seconds()
        await eventually(lambda: not world.pods(), within=20)
        assert 12.0 <= seconds() - began < 12.5
        assert [name for _, _, name in runtime.signals] == ["TERM", "KILL"]


async def test_a_second_delete_can_shorten_the_grace() -> None:
    plane, runtime = scripted_plane(Script(ignores_term=True))
    async with plane:
        world = World(plane, runtime)
        plane.client.create(pod(spec={"terminationGracePeriodSeconds": 300}))
        await eventually(world.ready)
        plane.client.delete("Pod", "default", "web")
        await asyncio.sleep(5)
        plane.client.delete("Pod", "default", "web", grace=7)
        await eventually(lambda: not world.pods(), within=3)


async def test_forced_deletion_still_ends_the_process() -> None:
    plane, runtime = scripted_plane(Script(ignores_term=True))
    async with plane:
        world = World(plane, runtime)
        plane.client.create(pod())
        await eventually(world.ready)
        plane.client.delete("Pod", "default", "web", grace=0)
        await eventually(lambda: not runtime.containers, within=1)


async def test_a_pod_of_the_same_name_starts_only_after_the_first_has_ended() -> None:
    plane, runtime = scripted_plane()
    async with plane:
        world = World(plane, runtime)
        plane.client.create(pod())
        await eventually(world.ready)
        plane.client.delete("Pod", "default", "web", grace=0)
        plane.client.create(pod())
        await eventually(world.ready)
        assert len(runtime.containers) == 1
        assert len(runtime.launches) == 2


async def test_ready_condition_keeps_its_transition_time_until_it_changes() -> None:
    plane, runtime = scripted_plane()
    async with plane:
        world = World(plane, runtime)
        plane.client.create(pod())
        await eventually(world.ready)

        def ready() -> dict[str, Any]:
            return next(c for c in world.pod()["status"]["conditions"] if c["type"] == "Ready")

        since = ready()["lastTransitionTime"]
        await asyncio.sleep(60)
        world.client.patch_merge("Pod", "default", "web", {"metadata": {"annotations": {"a": "b"}}})
        await asyncio.sleep(5)
        assert ready()["lastTransitionTime"] == since
        runtime.rescript("web", Script(never_ready=True))
        await eventually(lambda: ready()["status"] == "False")
        assert ready()["lastTransitionTime"] > since
        assert ready()["reason"] == "ContainersNotReady"


async def test_readiness_is_still_asked_and_told_while_a_pod_drains() -> None:
    plane, runtime = scripted_plane(Script(drain=20.0))
    async with plane:
        world = World(plane, runtime)
        plane.client.create(service())
        plane.client.create(pod())
        await eventually(lambda: [e["conditions"]["ready"] for e in world.endpoints()] == [True])
        plane.client.delete("Pod", "default", "web")
        await eventually(lambda: [e["conditions"]["serving"] for e in world.endpoints()] == [False], within=10)
        assert [p["metadata"]["name"] for p in world.pods()] == ["web"]


async def test_a_draining_pod_is_not_restarted_by_its_liveness_probe() -> None:
    plane, runtime = scripted_plane(Script(drain=20.0))
    live = {"httpGet": {"path": "/livez", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1}
    async with plane:
        world = World(plane, runtime)
        plane.client.create(pod(livenessProbe=live))
        await eventually(world.ready)
        plane.client.delete("Pod", "default", "web")
        runtime.rescript("web", Script(drain=20.0, live=False))
        began = seconds()
        await eventually(lambda: not world.pods(), within=25)
        assert seconds() - began >= 19
        assert len(runtime.launches) == 1


async def test_a_restart_under_way_becomes_an_end_when_the_pod_is_deleted() -> None:
    plane, runtime = scripted_plane(Script(ignores_term=True))
    live = {"httpGet": {"path": "/livez", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1}
    async with plane:
        world = World(plane, runtime)
        plane.client.create(pod(livenessProbe=live, spec={"terminationGracePeriodSeconds": 10}))
        await eventually(world.ready)
        runtime.rescript("web", Script(ignores_term=True, live=False))
        await eventually(lambda: runtime.signals)
        plane.client.delete("Pod", "default", "web")
        await eventually(lambda: not world.pods(), within=12)
        assert len(runtime.launches) == 1
