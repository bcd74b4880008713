"""Many writers at once: nothing is lost, nothing happens twice, and a watch tells it all in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from kube_manifests import Namespace, configmap, fresh, gadget
from kube_wire import Answer, Cluster, Wire

WRITERS = 8


@pytest.fixture
def at_once(cluster: Cluster) -> Iterator[Callable[[Callable[[Wire, int], Answer]], list[Answer]]]:
    """The answers of several writers, each with a connection of its own, that begin together."""
    wires = [Wire(cluster) for _ in range(WRITERS)]

    def run(write: Callable[[Wire, int], Answer]) -> list[Answer]:
        with ThreadPoolExecutor(WRITERS) as pool:
            return list(pool.map(write, wires, range(WRITERS)))

    yield run
    for wire in wires:
        wire.close()


AtOnce = Callable[[Callable[[Wire, int], Answer]], list[Answer]]


def statuses(answers: list[Answer]) -> list[int]:
    return sorted(answer.status for answer in answers)


def test_of_many_creates_of_one_name_one_succeeds(at_once: AtOnce, ns: Namespace) -> None:
    name = fresh("contended")
    answers = at_once(lambda wire, number: wire.post(ns("configmaps"), configmap(name, writer=str(number))))
    assert statuses(answers) == [201] + [409] * (WRITERS - 1)


def test_of_many_replaces_of_one_version_one_succeeds(api: Wire, at_once: AtOnce, ns: Namespace) -> None:
    seen = api.create(ns("gadgets"), gadget(code="ab"))
    path = ns("gadgets", seen["metadata"]["name"])
    answers = at_once(lambda wire, number: wire.put(path, {**seen, "spec": {"code": "ab", "comment": str(number)}}))
    assert statuses(answers) == [200] + [409] * (WRITERS - 1)


def test_merge_patches_without_a_version_all_land(api: Wire, at_once: AtOnce, ns: Namespace) -> None:
    # The server itself tries again when another write comes in between.
    name = fresh("patched")
    api.create(ns("configmaps"), configmap(name))
    path = ns("configmaps", name)
    answers = at_once(lambda wire, number: wire.patch(path, {"data": {f"key-{number}": "x"}}))
    assert statuses(answers) == [200] * WRITERS
    assert set(api.read(path)["data"]) == {f"key-{number}" for number in range(WRITERS)}


def test_applies_of_different_managers_all_land(api: Wire, at_once: AtOnce, ns: Namespace) -> None:
    name = fresh("applied")
    path = ns("configmaps", name)
    api.create(ns("configmaps"), configmap(name))
    answers = at_once(
        lambda wire, number: wire.apply(path, configmap(name, **{f"key-{number}": "x"}), manager=f"manager-{number}")
    )
    assert statuses(answers) == [200] * WRITERS
    assert set(api.read(path)["data"]) == {f"key-{number}" for number in range(WRITERS)}


def test_of_many_deletes_one_finds_the_object(api: Wire, at_once: AtOnce, ns: Namespace) -> None:
    name = fresh("deleted")
    api.create(ns("configmaps"), configmap(name))
    answers = at_once(lambda wire, _: wire.delete(ns("configmaps", name)))
    assert statuses(answers) == [200] + [404] * (WRITERS - 1)


def test_a_watch_tells_the_writes_of_many_once_and_in_order(api: Wire, at_once: AtOnce, ns: Namespace) -> None:
    made = api.create(ns("gadgets"), gadget(code="ab"))
    path = ns("gadgets", made["metadata"]["name"])
    with api.watch(ns("gadgets"), resourceVersion=made["metadata"]["resourceVersion"]) as events:
        at_once(lambda wire, number: wire.patch(path, {"metadata": {"labels": {f"l{number}": "x"}}}))
        seen = [next(events)["object"]["metadata"] for _ in range(WRITERS)]
    versions = [int(metadata["resourceVersion"]) for metadata in seen]
    assert versions == sorted(set(versions))
    assert [len(metadata["labels"]) for metadata in seen] == list(range(1, WRITERS + 1))


def test_several_watches_are_told_the_same(api: Wire, cluster: Cluster, ns: Namespace) -> None:
    made = api.create(ns("configmaps"), configmap())
    path, other = ns("configmaps"), Wire(cluster)
    version = made["metadata"]["resourceVersion"]
    with api.watch(path, resourceVersion=version) as first, other.watch(path, resourceVersion=version) as second:
        for _ in range(3):
            api.create(path, configmap())
        assert [next(first) for _ in range(3)] == [next(second) for _ in range(3)]
    other.close()
