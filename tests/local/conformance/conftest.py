"""Every check has the custom resource at hand. It is made first, because a real cluster's garbage collector learns of a
new kind only after up to 30 s."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session", autouse=True)
def definition(gadgets: str) -> None:
    """Asking for it is enough."""
