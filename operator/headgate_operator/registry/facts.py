"""Reading a registry's answers: pure functions over JSON, and the questions that fetch many models at once.

A version is looked up by number in the search's answer; aliases come from the model. `model-versions/search` never
returns aliases, and moving one changes no time stamp, so both are fetched and compared.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from headgate_operator.api.model import ByAlias, ByLatest, ByStage, ByVersion, Identity, ModelRef
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

READY = "READY"
NO_STAGE = "None"

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


def fits(version: Json, ref: ByStage | ByLatest) -> bool:
    """One that MLflow has not finished registering has no files yet. Raises one of STRANGE."""
    if version.get("status", READY) != READY:
        return False
    match ref:
        case ByStage(stage):
            return str(version.get("current_stage") or NO_STAGE).lower() == stage.lower()
        case ByLatest(tags):
            carried = {str(tag["key"]): str(tag.get("value") or "") for tag in version.get("tags") or []}
            return all(carried.get(key) == value for key, value in tags)


def newest(versions: Iterable[Json], ref: ByStage | ByLatest) -> Json | None:
    """By number, not by the time of the last change: tagging an old version must not make it the newest."""
    found = [version for version in versions if fits(version, ref)]
    return max(found, key=lambda version: int(version["version"]), default=None)


def found(
    registry: str, questions: Sequence[Question], models: Mapping[str, Json], versions: Sequence[Json]
) -> dict[Question, Identity]:
    """The questions that a search answered. The others may be missing or invisible: each must be asked by itself."""
    of_model: dict[str, list[Json]] = {}
    for version in versions:
        of_model.setdefault(str(version.get("name")), []).append(version)
    answers: dict[Question, Identity] = {}
    for name, ref in questions:
        try:
            if (meant := _meant(of_model.get(name, []), models.get(name, {}), ref)) is not None:
                answers[name, ref] = identity_of(registry, meant)
        except STRANGE:
            continue  # asked for by itself: one strange version is no trouble of the others
    return answers


def _meant(versions: Sequence[Json], model: Json, ref: ModelRef) -> Json | None:
    match ref:
        case ByStage() | ByLatest():
            return newest(versions, ref)
        case ByVersion(version):
            number: str | None = version
        case ByAlias(alias):
            number = aliases_of(model).get(alias)
    return next((version for version in versions if str(version.get("version")) == number), None)


def search_for(name: str) -> str | None:
    """A filter for one model; None where MLflow's language has no way to write its name."""
    quote_by = next((mark for mark in ("'", '"') if mark not in name), None)
    return None if quote_by is None else f"name = {quote_by}{name}{quote_by}"


def serving_example_path(mlmodel: Any) -> str | None:
    """Where MLmodel says the ready /invocations body lies; None where the model was logged without an example."""
    info = mlmodel.get("saved_input_example_info") if isinstance(mlmodel, dict) else None
    path = info.get("serving_input_path") if isinstance(info, dict) else None
    if not isinstance(path, str) or not path or path.startswith("/") or ".." in path.split("/"):
        return None
    return path
