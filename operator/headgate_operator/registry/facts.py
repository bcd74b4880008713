"""Reading a registry's answers: pure functions over JSON, and the questions that fetch many models at once.

A version is looked up by number in the search's answer; aliases come from the model. `model-versions/search` never
returns aliases, and moving one changes no time stamp, so both are fetched and compared.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from headgate_operator.api.model import ByAlias, ByVersion, Identity, ModelRef
from headgate_operator.api.text import keepable

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NAMES_A_QUESTION = 200
FILTER_LENGTH = 3000  # some servers and proxies refuse request lines of 4 KiB
# MLflow evaluates an IN list as a Python literal: a quote or a backslash in one tenant's name would break, or change,
# the question for everybody else's. Such names are asked for one by one.
PLAIN_NAME = re.compile(r"[^'\"\\\x00-\x1f]+")

# Whatever a registry answers in another form than MLflow's raises one of these, and nothing else.
STRANGE = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)
LONGEST = {"name": 256, "version": 19, "source": 4096, "run_id": 256}  # what status can hold

Question = tuple[str, ModelRef]
Json = Mapping[str, Any]


def is_plain(name: str) -> bool:
    return PLAIN_NAME.fullmatch(name) is not None


def chunks(names: Iterable[str]) -> Iterator[str]:
    """Filters `name IN (...)`, each short enough, that together ask for all of `names`."""
    chunk: list[str] = []
    length = 0
    for name in sorted(set(names)):
        quoted = f"'{name}'"
        if chunk and (len(chunk) >= NAMES_A_QUESTION or length + len(quote(quoted)) > FILTER_LENGTH):
            yield f"name IN ({','.join(chunk)})"
            chunk, length = [], 0
        chunk.append(quoted)
        length += len(quote(quoted)) + 3
    if chunk:
        yield f"name IN ({','.join(chunk)})"


def aliases_of(model: Json) -> dict[str, str]:
    return {str(a.get("alias")): str(a.get("version")) for a in model.get("aliases") or []}


def identity_of(registry: str, version: Json) -> Identity:
    """Raises one of STRANGE where the answer is not what MLflow answers."""
    if any(len(str(version.get(key) or "")) > longest for key, longest in LONGEST.items()):
        raise ValueError("longer than anything of MLflow's")
    return Identity(
        registry=registry,
        name=keepable(str(version["name"])),
        version=str(int(version["version"])),
        source=keepable(str(version.get("source") or "")),
        # Not fromtimestamp(ms / 1000): a float would lose the last digit now and then.
        created_at=EPOCH + timedelta(milliseconds=int(version["creation_timestamp"])),
        run_id=keepable(str(version.get("run_id") or "")),
    )


def found(
    questions: Sequence[Question], models: Mapping[str, Json], identities: Mapping[tuple[str, str], Identity]
) -> dict[Question, Identity]:
    """The questions that a search answered. The others may be missing or invisible: each must be asked by itself."""
    answers: dict[Question, Identity] = {}
    for name, ref in questions:
        match ref:
            case ByVersion(version):
                number: str | None = version
            case ByAlias(alias):
                try:
                    number = aliases_of(models.get(name, {})).get(alias)
                except STRANGE:
                    number = None
        if number is not None and (identity := identities.get((name, number))) is not None:
            answers[name, ref] = identity
    return answers


def serving_example_path(mlmodel: Any) -> str | None:
    """Where MLmodel says the ready /invocations body lies; None where the model was logged without an example."""
    info = mlmodel.get("saved_input_example_info") if isinstance(mlmodel, dict) else None
    path = info.get("serving_input_path") if isinstance(info, dict) else None
    if not isinstance(path, str) or not path or path.startswith("/") or ".." in path.split("/"):
        return None
    return path
