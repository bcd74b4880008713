"""Image names and the commands they stand for."""

from __future__ import annotations

import sys

import pytest

from headgate_local.images import ImageArgumentError, Images

SERVER = (sys.executable, "-m", "headgate_server")


@pytest.mark.parametrize(
    "image",
    [
        "headgate-server",
        "ghcr.io/headgate/headgate-server:1.2",
        "host:5000/headgate-server@sha256:00",
        "headgate-server:1",
    ],
)
def test_the_server_image_is_known_under_every_registry_and_tag(image: str) -> None:
    assert Images().command(image) == SERVER


def test_own_images_are_found_by_full_name_first() -> None:
    images = Images.parse(["web=serve any", "example.com/web:2=serve 'number two'", "headgate-server=mine"])
    assert images.command("example.com/web:2") == ("serve", "number two")
    assert images.command("example.com/web:1") == ("serve", "any")
    assert images.command("x/headgate-server:3") == ("mine",)
    assert images.command("other") is None


@pytest.mark.parametrize("argument", ["web", "=x", "web=", "web=  "])
def test_a_wrong_argument_says_what_is_wanted(argument: str) -> None:
    with pytest.raises(ImageArgumentError, match="NAME=COMMAND"):
        Images.parse([argument])
