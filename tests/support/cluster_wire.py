"""The Kubernetes API for tests that disturb it: a question that nobody answers is asked again for a while."""

import time
from collections.abc import Mapping
from typing import Any

import requests

from kube_wire import JSON, Answer, Wire

PATIENCE_SECONDS = 90.0
NOT_NOW = {429, 500, 502, 503, 504}


class PatientWire(Wire):
    """Repeats what can be repeated without harm: reads, merges and deletions, never a creation."""

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = JSON,
        accept: str = JSON,
        headers: Mapping[str, str] | None = None,
        **query: str | int | bool,
    ) -> Answer:
        end = time.monotonic() + (0.0 if method == "POST" else PATIENCE_SECONDS)
        while True:
            last = time.monotonic() >= end
            try:
                answer = super().request(
                    method, path, body, content_type=content_type, accept=accept, headers=headers, **query
                )
            except (requests.ConnectionError, requests.Timeout):
                if last:
                    raise
            else:
                if last or answer.status not in NOT_NOW:
                    return answer
            time.sleep(0.3)
