"""Every object that a loaded estimator can reach: what the checks after a skops load walk over.

Built on the garbage collector's own view, so that nothing hides in a partial, a bound method or a closure; arrays
of objects, which that view leaves out, are opened here. Modules, classes and functions are not entered: a skops
file can only name those, not bring them.
"""

import gc
from collections.abc import Iterator
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, Final

import numpy as np

CLOSED: Final = (type, ModuleType, FunctionType, BuiltinFunctionType, str, bytes, int, float, bool, np.ufunc)


def reachable(root: Any) -> Iterator[Any]:
    """Each object once, root first."""
    seen: set[int] = set()
    waiting = [root]
    keep = []  # an object freed in mid walk would give its id to another one
    while waiting:
        item = waiting.pop()
        if id(item) in seen or isinstance(item, CLOSED):
            continue
        seen.add(id(item))
        keep.append(item)
        yield item
        if isinstance(item, np.ndarray):
            if item.dtype.hasobject:
                waiting.extend(item.ravel().tolist())
            if item.base is not None:
                waiting.append(item.base)
        if (attributes := getattr(item, "__dict__", None)) is not None:
            waiting.append(attributes)
        waiting.extend(gc.get_referents(item))
