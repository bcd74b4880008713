"""Own addresses for pods and Services, and blocks that two planes never share."""

from __future__ import annotations

from headgate_local.addresses import FIRST_BLOCK, LAST_BLOCK, Addresses, ReservedBlock, listening_port


def test_pods_and_services_live_in_halves_of_one_block() -> None:
    addresses = Addresses(77)
    pod, service = addresses.pods.take("p"), addresses.services.take("s")
    assert pod == "127.77.0.1"
    assert service == "127.77.128.1"
    assert addresses.is_service_address(service)
    assert not addresses.is_service_address(pod)
    assert not addresses.is_service_address("10.0.0.1")


def test_an_owner_keeps_its_address_and_a_returned_one_is_not_reused_at_once() -> None:
    addresses = Addresses(77)
    first = addresses.pods.take("a")
    assert addresses.pods.take("a") == first
    addresses.pods.give_back("a")
    assert addresses.pods.take("b") != first


def test_after_the_last_address_the_free_ones_are_found_again() -> None:
    half = Addresses(77).pods
    kept = half.take("kept")
    for number in range(40_000):
        assert half.take(number) != kept
        half.give_back(number)


def test_two_planes_get_two_blocks() -> None:
    one, two = ReservedBlock(), ReservedBlock()
    assert one.block != two.block
    one.release()
    two.release()


def test_blocks_are_free_again_after_use() -> None:
    for _ in range(2 * (LAST_BLOCK - FIRST_BLOCK)):
        ReservedBlock().release()


def test_ports_that_need_root_are_found_8000_higher() -> None:
    assert [listening_port(port) for port in (80, 443, 1023, 1024, 8080)] == [8080, 8443, 9023, 1024, 8080]
