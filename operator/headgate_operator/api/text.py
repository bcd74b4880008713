"""Words of others, as an API server keeps them.

JSON may hold half a surrogate pair. Python reads and writes it, but an API server keeps U+FFFD in its place: what is
written would differ from what was decided for ever.
"""

from __future__ import annotations

import re

_HALF_A_PAIR = re.compile("[\ud800-\udfff]")


def keepable(text: str) -> str:
    return _HALF_A_PAIR.sub("\ufffd", text)
