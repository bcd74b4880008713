"""Bad versions, bad days and orders, seen through the API as a user sees them."""

from __future__ import annotations

import asyncio

import pytest

from fake_runtime import Script
from headgate_operator.kube import Reply
from in_process_transport import Call, refusal
from operator_world import NAME, NAMESPACE, Operated, operated

pytestmark = [pytest.mark.looptime, pytest.mark.timeout(60)]


async def on_two(world: Operated) -> None:
    world.create()
    await world.established("1")
    world.move_alias("2")
    await world.established("2")


def rejected(world: Operated) -> list[tuple[str, str, str]]:
    return [(e["version"], e["scope"], e["gate"]) for e in world.status().get("rejected", [])]


async def test_a_failed_load_never_gets_traffic() -> None:
    async with operated(script=Script()) as world:
        world.runtime.script("2", Script(fails="UntrustedTypes", message="sklearn.evil"))
        world.create()
        await world.established("1")
        world.move_alias("2")
        await world.until(lambda: rejected(world) == [("2", "Revision", "UntrustedTypes")])
        await world.until(lambda: world.deployed() == {"1"})
        assert "sklearn.evil" in world.condition("Ready")["message"]
        assert "RolledBack" in world.events.reasons


async def test_a_crashing_server_is_given_up() -> None:
    async with operated() as world:
        world.runtime.script("2", Script(ready_after=60, crash_after=1))
        world.create()
        await world.established("1")
        world.move_alias("2")
        await world.until(lambda: rejected(world) == [("2", "Revision", "CrashLoop")])


async def test_every_pod_predicts_the_golden_example_before_the_switch() -> None:
    async with operated() as world:
        world.registry.examples = {"1": b"{}", "2": b"{}"}
        world.probe.golden_fails["2"] = "prediction is not finite"
        world.create()
        await world.established("1")
        assert len(set(world.probe.golden_asked)) == 2
        world.move_alias("2")
        await world.until(lambda: rejected(world) == [("2", "Model", "GoldenFailed")])


async def test_an_image_that_cannot_be_pulled_is_waited_for() -> None:
    async with operated() as world:
        world.create()
        await world.established("1")
        world.runtime.unavailable_images.add("wrong:1")
        world.edit({"serving": {"image": "wrong:1"}})
        await world.until(lambda: world.condition("Progressing").get("reason") == "ImagePull")
        await asyncio.sleep(1200)
        assert rejected(world) == []
        world.edit({"serving": None})
        await world.until(lambda: world.outcomes()[-1] == "Cancelled")
        assert world.condition("Ready")["status"] == "True"


async def test_undo_is_answered_and_moves_the_traffic_back() -> None:
    async with operated() as world:
        await on_two(world)
        ordered = world.order("undo")
        await world.until(lambda: world.status().get("lastCommand", {}).get("id") == ordered)
        await world.established("1")
        assert world.status()["lastCommand"]["outcome"] == "Accepted"
        assert world.status()["lastRollbackMilliseconds"] < 5000
        assert world.condition("Ready")["reason"] == "HeldByUndo"
        await asyncio.sleep(1200)
        assert world.deployed() == {"1"}
        assert world.stable() == "1"


async def test_a_stale_order_is_refused() -> None:
    async with operated() as world:
        await on_two(world)
        ordered = world.order("undo", rollout=1)
        await world.until(lambda: world.status().get("lastCommand", {}).get("id") == ordered)
        assert world.status()["lastCommand"]["outcome"] == "Refused"
        assert world.stable() == "2"


async def test_a_version_that_crashes_in_service_is_taken_back() -> None:
    async with operated(promise=None) as world:
        await on_two(world)
        second = [p for p in world.children("Pod") if p["metadata"]["labels"]["headgate.dev/model-version"] == "2"]
        for _ in range(2):  # one crash of each could be a node that restarted
            for pod in second:
                world.runtime.crash(pod["metadata"]["name"])
            await asyncio.sleep(5)
        await world.until(lambda: world.at_rest_on("1"))
        assert rejected(world)[0][2] in {"Restarts", "NoReadyEndpoint"}


async def test_a_refused_write_is_told_and_tried_again() -> None:
    async with operated() as world:
        world.create()
        await world.established("1")

        def no_more_deployments(call: Call) -> Reply | None:
            refused = call.writes and "/deployments/" in call.path
            return refusal(403, "Forbidden", "exceeded quota: team, requested: pods=2") if refused else None

        world.transport.before = no_more_deployments
        world.move_alias("2")
        await world.until(lambda: world.condition("Progressing").get("reason") == "Quota")
        before = len(world.transport.calls)
        await asyncio.sleep(1200)
        assert len([c for c in world.transport.calls[before:] if c.writes]) < 60, "with back-off"
        assert rejected(world) == []
        world.transport.before = lambda _call: None
        await world.established("2")
        assert world.condition("Progressing")["reason"] == "NothingToDo"


async def test_an_answer_of_the_registry_that_gets_lost_changes_nothing() -> None:
    async with operated() as world:
        world.create()
        await world.established("1")
        world.registry.down()
        world.wake()
        await world.until(lambda: world.condition("ModelResolved")["status"] == "Unknown")
        await asyncio.sleep(1200)
        assert world.condition("Ready")["status"] == "True"
        assert world.condition("UpToDate")["status"] == "True"
        world.registry.up()
        world.move_alias("2")
        await world.established("2")


async def test_a_spec_that_an_old_crd_let_through_is_told_and_nothing_else_changes() -> None:
    async with operated() as world:
        world.create()
        await world.established("1")
        definition = world.client.get("CustomResourceDefinition", None, "modeldeployments.headgate.dev")
        assert definition is not None
        schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        del schema["properties"]["spec"]["properties"]["model"]["properties"]["alias"]["x-kubernetes-validations"]
        world.client.update(definition)
        world.edit({"model": {"alias": "latest"}})
        await world.until(lambda: world.condition("Ready")["reason"] == "InvalidSpec")
        assert "spec.model.alias" in world.condition("Ready")["message"]
        assert world.serving() == {"1"}
        world.edit({"model": {"alias": "champion"}})
        await world.until(lambda: world.condition("Ready")["reason"] == "AsWanted")


async def test_the_scale_subresource_speaks_of_pods_with_traffic_only() -> None:
    async with operated() as world:
        await on_two(world)
        assert len(world.children("Pod")) == 4
        status = world.status()
        assert status["replicas"] == 2
        assert status["selector"].endswith(f"in ({status['stable']['revision']})")
        assert world.client.get("ModelDeployment", NAMESPACE, NAME) is not None


async def test_a_refused_candidate_does_not_keep_the_public_service_from_being_repaired() -> None:
    async with operated(promise=None) as world:
        world.create()
        await world.established("1")
        stable = world.status()["stable"]["deployment"]

        def no_candidate(call: Call) -> Reply | None:
            refused = call.method == "PATCH" and "/deployments/" in call.path and not call.path.endswith(stable)
            return refusal(422, "Invalid", "requests: must be less than or equal to cpu limit") if refused else None

        world.transport.before = no_candidate
        world.edit({"serving": {"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}})
        await asyncio.sleep(120)
        selector = {"spec": {"selector": {"headgate.dev/revision": "nonsense"}}}
        world.client.patch_merge("Service", NAMESPACE, NAME, selector)
        await asyncio.sleep(120)
        assert world.serving() == {"1"}
        assert world.condition("Progressing")["reason"] == "RefusedByApiServer"


async def test_labels_that_are_refused_do_not_hold_up_a_rollback() -> None:
    async with operated() as world:
        await on_two(world)

        def no_such_label(call: Call) -> Reply | None:
            labels = ((call.body or {}).get("metadata") or {}).get("labels") or {}
            refused = call.writes and call.path.endswith(f"/services/{NAME}") and "team" in labels
            return refusal(403, "Forbidden", "a policy of this cluster allows no label team") if refused else None

        world.transport.before = no_such_label
        world.edit({"traffic": {"service": {"labels": {"team": "x"}}}})
        await asyncio.sleep(30)
        world.order("undo")
        await world.established("1")
        world.transport.before = lambda _call: None
        await world.until(lambda: "team" in (world.client.get("Service", NAMESPACE, NAME) or {})["metadata"]["labels"])


async def test_a_node_port_that_is_refused_does_not_hold_up_a_rollback() -> None:
    async with operated() as world:
        await on_two(world)

        def no_node_port(call: Call) -> Reply | None:
            asked = ((call.body or {}).get("spec") or {}).get("type")
            refused = call.writes and call.path.endswith(f"/services/{NAME}") and asked == "NodePort"
            return refusal(403, "Forbidden", "exceeded quota: services.nodeports=1") if refused else None

        world.transport.before = no_node_port
        world.edit({"traffic": {"service": {"type": "NodePort"}}})
        await asyncio.sleep(30)
        world.order("undo")
        await world.established("1")
        world.transport.before = lambda _call: None
        await world.until(lambda: (world.client.get("Service", NAMESPACE, NAME) or {})["spec"]["type"] == "NodePort")
