"""One registry under one set of credentials: its answers of the last poll, and when they may be believed.

The book answers between polls, so that a rollout that looks every second costs the registry nothing; a question that
is not in it is asked at once. One failed poll is no news (registries restart); the second one in a row is.
"""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from headgate_operator.api.model import Identity
from headgate_operator.api.reasons import Reason
from headgate_operator.core.observed import Example, Resolution, Unresolved
from headgate_operator.registry.asking import Asking
from headgate_operator.registry.credentials import Credentials, SecretNotUsableError
from headgate_operator.registry.facts import Question
from headgate_operator.registry.rest import RegistryError, Rest

log = logging.getLogger(__name__)

FAILED_POLLS_THAT_COUNT = 2


@dataclass(frozen=True)
class Entry:
    answer: Resolution
    at: float
    failures: int = 0


@dataclass(frozen=True)
class Poll:
    """How a poll went: what the metrics show."""

    seconds: float
    trouble: Unresolved | None

    @property
    def result(self) -> str:
        return self.trouble.reason.value if self.trouble else "ok"


def is_trouble(answer: Resolution) -> bool:
    """The registry did not answer the question, as opposed to "there is no such thing"."""
    return isinstance(answer, Unresolved) and not answer.certain


def differ(one: Resolution, other: Resolution) -> bool:
    """Messages may differ from poll to poll without being news."""
    if isinstance(one, Unresolved) and isinstance(other, Unresolved):
        return one.reason is not other.reason
    return one != other


class Source:
    """`believed` = how many seconds an answer is good for if no poll refreshes it."""

    def __init__(
        self,
        rest: Rest,
        credentials: Callable[[], Awaitable[Credentials]],
        *,
        clock: Callable[[], float],
        believed: float,
    ) -> None:
        self._rest, self._asking, self._credentials = rest, Asking(rest), credentials
        self._clock, self._believed = clock, believed
        self._book: dict[Question, Entry] = {}
        self._locks: dict[Question, asyncio.Lock] = {}
        self._polling = False
        self._trouble: Reason | None = None
        self.answered_at: float | None = None  # the last poll that the registry answered

    @property
    def uri(self) -> str:
        return self._rest.uri

    async def close(self) -> None:
        await self._rest.close()

    async def answer(self, question: Question) -> Resolution:
        if (known := self._known(question)) is not None:
            return known
        async with self._locks.setdefault(question, asyncio.Lock()):
            if (known := self._known(question)) is not None:
                return known
            answers = await self._ask([question])
            self._note(question, answers[question])
        self._locks.pop(question, None)
        return self._book[question].answer

    async def example(self, identity: Identity) -> Example | Unresolved:
        credentials = await self._who()
        if isinstance(credentials, Unresolved):
            return credentials
        try:
            return await self._asking.example(identity, credentials)
        except RegistryError as error:
            return error.answer

    async def poll(self, questions: Iterable[Question]) -> Poll:
        """Ask everything anew; forget what nobody asks any longer."""
        began = self._clock()
        self._polling = True
        try:
            answers = await self._ask(set(questions))
        finally:
            self._polling = False
        self._book = {q: entry for q, entry in self._book.items() if q in answers}
        for question, answer in answers.items():
            self._note(question, answer)
        troubles = [a for a in answers.values() if isinstance(a, Unresolved) and is_trouble(a)]
        if len(troubles) < len(answers):  # one model that we may not see is no silence of the registry
            self.answered_at = self._clock()
        self._tell(troubles[0] if troubles else None)
        return Poll(self._clock() - began, troubles[0] if troubles else None)

    def _known(self, question: Question) -> Resolution | None:
        entry = self._book.get(question)
        if entry is None or not (self._polling or self._clock() - entry.at < self._believed):
            return None
        return entry.answer

    async def _ask(self, questions: Iterable[Question]) -> dict[Question, Resolution]:
        wanted = list(questions)
        credentials = await self._who()
        if isinstance(credentials, Unresolved):
            return dict.fromkeys(wanted, credentials)
        if len(wanted) == 1:
            return {wanted[0]: await self._asking.one(*wanted[0], credentials)}
        return await self._asking.all(wanted, credentials)

    async def _who(self) -> Credentials | Unresolved:
        try:
            credentials = await self._credentials()
            credentials.tls()
        except SecretNotUsableError as error:
            return Unresolved(Reason.SECRET_NOT_USABLE, str(error))
        except (OSError, UnicodeDecodeError) as error:  # ssl.SSLError is an OSError
            what = "ca.crt holds no certificate" if isinstance(error, ssl.SSLError) else "they cannot be read"
            return Unresolved(Reason.SECRET_NOT_USABLE, f"credentials for {self.uri}: {what}")
        return credentials

    def _note(self, question: Question, answer: Resolution) -> None:
        before = self._book.get(question)
        if not is_trouble(answer):
            self._book[question] = Entry(answer, self._clock())
            return
        failures = (before.failures if before else 0) + 1
        keep = before is not None and not is_trouble(before.answer) and failures < FAILED_POLLS_THAT_COUNT
        self._book[question] = Entry(before.answer if before and keep else answer, self._clock(), failures)

    def _tell(self, trouble: Unresolved | None) -> None:
        reason = trouble.reason if trouble else None
        if reason is self._trouble:
            return
        self._trouble = reason
        if trouble is not None:
            log.warning("registry trouble", extra={"registry": self.uri, "why": trouble.message})
        else:
            log.info("registry answers again", extra={"registry": self.uri})
