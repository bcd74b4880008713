"""A registry with one model: version 1 is its champion, version 2 comes next."""

from collections.abc import Iterator

import pytest

from fake_mlflow import FakeMlflow


@pytest.fixture
def mlflow() -> Iterator[FakeMlflow]:
    with FakeMlflow() as registry:
        registry.register("iris", {"MLmodel": b"flavors: {}"}, aliases=["champion"])
        registry.register("iris", {"MLmodel": b"flavors: {}"}, aliases=["next"])
        yield registry
