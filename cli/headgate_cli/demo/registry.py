"""Move an alias in MLflow, over its REST API: importing mlflow for one call would take seconds."""

import json
import urllib.request


def set_alias(registry: str, model: str, alias: str, version: str) -> None:
    """Point `alias` of `model` at `version`. Raises urllib.error.URLError when the registry refuses or is away."""
    body = json.dumps({"name": model, "alias": alias, "version": version}).encode()
    request = urllib.request.Request(  # noqa: S310 - the demo's own server
        f"{registry}/api/2.0/mlflow/registered-models/alias",
        data=body,
        headers={"Content-Type": "application/json"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=30):  # noqa: S310
        pass


def answers(url: str) -> bool:
    """Whether `url` answers 2xx within a second."""
    try:
        with urllib.request.urlopen(url, timeout=1):  # noqa: S310
            return True
    except OSError:
        return False
