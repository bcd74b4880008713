"""spec.analysis.webhooks: who is asked before a promotion, and who is told of a rollback."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from headgate_operator.api.durations import format_duration
from headgate_operator.api.reader import Reader

MOST = 8
DEFAULT_TIMEOUT = timedelta(seconds=10)
LONGEST_TIMEOUT = timedelta(seconds=30)
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_URL = re.compile(r"https?://\S+")


class When(StrEnum):
    BEFORE_PROMOTION = "BeforePromotion"
    ON_ROLLBACK = "OnRollback"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSpec:
    name: str
    url: str
    when: When
    timeout: timedelta | None = None
    secret_name: str | None = None

    @property
    def seconds(self) -> float:
        return (self.timeout or DEFAULT_TIMEOUT).total_seconds()


def parse_webhooks(analysis: Reader) -> tuple[WebhookSpec, ...]:
    hooks = tuple(map(_webhook, analysis.objects("webhooks")))
    names = [hook.name for hook in hooks]
    if len(hooks) > MOST or len(set(names)) < len(names):
        raise analysis.error("webhooks", f"must be at most {MOST}, each with a name of its own")
    return hooks


def _webhook(hook: Reader) -> WebhookSpec:
    name, url, when = (hook.required_text(field) for field in ("name", "url", "when"))
    if not _NAME.fullmatch(name):
        raise hook.error("name", "must be 1 to 63 lower-case letters, digits and -")
    if not _URL.fullmatch(url) or len(url) > 1024:
        raise hook.error("url", "must begin with http:// or https:// and have at most 1024 characters")
    if when not in set(When):
        raise hook.error("when", f"must be one of {', '.join(When)}")
    timeout = hook.duration("timeout")
    if timeout is not None and not timedelta(seconds=1) <= timeout <= LONGEST_TIMEOUT:
        raise hook.error("timeout", "must be from 1s to 30s")
    return WebhookSpec(name=name, url=url, when=When(when), timeout=timeout, secret_name=hook.text("secretName"))


def webhook_to_dict(hook: WebhookSpec) -> dict[str, Any]:
    more = {
        "timeout": None if hook.timeout is None else format_duration(hook.timeout),
        "secretName": hook.secret_name,
    }
    said = {key: value for key, value in more.items() if value is not None}
    return {"name": hook.name, "url": hook.url, "when": str(hook.when), **said}
