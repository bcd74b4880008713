"""Where the ModelDeployment definition is found: in the installed package, else in the checkout."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml


class DefinitionsMissingError(RuntimeError):
    """Neither an installed package nor a checkout with definitions."""


def definitions() -> list[dict[str, Any]]:
    """The CustomResourceDefinitions that come with Headgate, as objects."""
    packaged = files("headgate_local") / "crds"
    texts = [f.read_text() for f in packaged.iterdir() if f.name.endswith(".yaml")] if packaged.is_dir() else []
    if not texts:
        checkout = Path(__file__).resolve().parents[2] / "crds"
        texts = [path.read_text() for path in sorted(checkout.glob("*.yaml"))]
    found = [obj for text in texts for obj in yaml.safe_load_all(text) if obj]
    found = [obj for obj in found if obj.get("kind") == "CustomResourceDefinition"]
    if not found:
        raise DefinitionsMissingError("no ModelDeployment definition is installed; use --no-crds to go on without it")
    return found
