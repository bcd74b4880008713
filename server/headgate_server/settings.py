"""Every setting of the server: one table for the environment, the command line, `--help` and the docs page.

A setting exists here only if it works. `HEADGATE_MAX_BODY_BYTES` and `--max-body-bytes` are the same word; the
command line wins. A bad value is refused at start with the setting's name: a server that guesses is worse than
one that does not start.
"""

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from headgate_server import contract

PREFIX: Final = "HEADGATE_"
MOST_WORKERS: Final = 64


class Golden(StrEnum):
    INPUT_EXAMPLE = "InputExample"
    DISABLED = "Disabled"


class Validation(StrEnum):
    STRICT = "Strict"
    COMPATIBLE = "Compatible"


class Requirements(StrEnum):
    STRICT = "Strict"
    WARN = "Warn"


class SettingsError(Exception):
    """A setting with a value that means nothing; the message names the setting and says what would do."""


@dataclass(frozen=True)
class Setting:
    """One row of the table; `parse` turns the text into the value or raises ValueError with what is expected."""

    name: str
    type: str
    default: str
    meaning: str
    parse: Callable[[str], Any]

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper()

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")


@dataclass(frozen=True)
class Settings:
    """The parsed settings; fields are the table's names."""

    model: str
    model_name: str
    model_version: str
    revision: str
    git_commit: str
    registry_uri: str
    registry_credentials: Path | None
    registry_timeout: float
    model_digest: str
    cache_dir: Path | None
    cache_max_bytes: int
    fallback: Path | None
    reload_interval: float
    admin_key: str = field(repr=False)
    validation: Validation
    requirements: Requirements
    golden: Golden
    trust_pickle: bool
    trust_types: frozenset[str]
    max_body_bytes: int
    max_rows: int
    max_queue: int
    timeout: float
    batch_max_rows: int
    batch_max_wait: float
    threads: int
    workers: int
    host: str
    port: int
    ops_port: int
    connection_max_age: float
    drain_delay: float


def _text(value: str) -> str:
    return value


def _path(value: str) -> Path | None:
    return Path(value) if value else None


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not re.fullmatch(r"[0-9]{1,16}", value) or not low <= int(value) <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return int(value)

    return parse


def _seconds(low: float, high: float) -> Callable[[str], float]:
    def parse(value: str) -> float:
        number = float(value[:-1] if value.endswith("s") else value) if re.fullmatch(r"[0-9.]+s?", value) else -1.0
        if not low <= number <= high:
            raise ValueError(f"seconds from {low:g} to {high:g}")
        return number

    return parse


def _one_of(words: type[StrEnum]) -> Callable[[str], StrEnum]:
    def parse(value: str) -> StrEnum:
        for word in words:
            if word.value.lower() == value.lower():
                return word
        raise ValueError("one of " + ", ".join(words))

    return parse


def _flag(value: str) -> bool:
    if value.lower() not in {"true", "false"}:
        raise ValueError("true or false")
    return value.lower() == "true"


def _names(value: str) -> frozenset[str]:
    names = frozenset(filter(None, (name.strip() for name in value.split(","))))
    if not all(re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", name) for name in names):
        raise ValueError("names of types like package.module.Type, with commas")
    return names


def _digest(value: str) -> str:
    # An optional reference to a ConfigMap key gives an empty value until the operator has recorded a digest.
    if value and not re.fullmatch(r"sha256:[0-9a-f]{64}", value):
        raise ValueError("empty, or sha256: and 64 hexadecimal digits")
    return value


def _uri(value: str) -> str:
    if value and (urlsplit(value).scheme not in {"http", "https"} or not urlsplit(value).hostname):
        raise ValueError("empty, or an address like http://mlflow.example:5000")
    return value.rstrip("/")


SETTINGS: Final[tuple[Setting, ...]] = (
    Setting(
        "model",
        "text",
        "",
        "What to serve: `models:/<name>/<version>` in the registry (the name URL-quoted), or the path of a "
        "model directory. Standalone also `models:/<name>@<alias>` and `models:/<name>/<Stage>`. Required.",
        _text,
    ),
    Setting(
        "model_name",
        "text",
        "",
        "What to call the model in paths and answers. Default: the name in the registry, or the folder's name.",
        _text,
    ),
    Setting(
        "model_version",
        "text",
        "",
        "What to call the version. Default: the version in the registry, or the first 8 digits of the digest.",
        _text,
    ),
    Setting("revision", "text", "", "The revision this process belongs to: a label of its metrics.", _text),
    Setting("git_commit", "text", "", "The commit that this deployment was made from, for /metadata.", _text),
    Setting("registry_uri", "address", "", "The MLflow server, for a model in the registry.", _uri),
    Setting(
        "registry_credentials",
        "folder",
        "",
        "A folder with `username` and `password`, or `token`, and `ca.crt` where the registry has its own CA.",
        _path,
    ),
    Setting(
        "registry_timeout",
        "seconds",
        "10",
        "How long one call to the registry may be silent; the first byte of a file may take 12 times as long.",
        _seconds(0.1, 600),
    ),
    Setting(
        "model_digest",
        "sha256:<64 hex>",
        "",
        "Refuse to serve anything but this artifact tree. Empty = no check.",
        _digest,
    ),
    Setting(
        "cache_dir",
        "folder",
        "",
        "Where downloaded models are kept, by digest; may be shared by several processes. Empty = a temporary folder.",
        _path,
    ),
    Setting(
        "cache_max_bytes",
        "bytes",
        "0",
        "When the cache would hold more, the versions used least recently go, never one that a process uses. "
        "0 = no limit.",
        _whole(0, 1 << 50),
    ),
    Setting(
        "fallback",
        "folder",
        "",
        "Standalone only: a model directory that is served where the registry cannot be reached at start, and reported "
        "as `source: fallback`.",
        _path,
    ),
    Setting(
        "reload_interval",
        "seconds",
        "0",
        "Standalone only: how often an alias or a stage is looked up again, or a served fallback left. A new "
        "version is loaded beside the old one, which stays if that fails. 0 = never.",
        _seconds(0, 86400),
    ),
    Setting(
        "admin_key",
        "text",
        "",
        "Whoever sends it as `Authorization: Bearer` or `x-admin-key` may `POST /model/reload`. Empty = nobody may. "
        "Better given by the environment: a command line is read by every user of the machine.",
        _text,
    ),
    Setting(
        "validation",
        "Strict, Compatible",
        "Strict",
        "How input is held against the signature. Strict: unknown or missing columns, lossy casts and wrong shapes "
        "are answered 400. Compatible: what MLflow's server accepts and casts is accepted and cast.",
        _one_of(Validation),
    ),
    Setting(
        "requirements",
        "Strict, Warn",
        "Strict",
        "Whether a model made with another scikit-learn minor or numpy major version is refused or only logged.",
        _one_of(Requirements),
    ),
    Setting(
        "golden",
        "InputExample, Disabled",
        "InputExample",
        "Whether the model's input example must predict, with finite numbers, before the server is ready.",
        _one_of(Golden),
    ),
    Setting(
        "trust_pickle",
        "true, false",
        "false",
        "Load scikit-learn models from pickle and cloudpickle files. That runs whatever code is in them: only for a "
        "registry where you trust everyone who can write.",
        _flag,
    ),
    Setting(
        "trust_types",
        "names",
        "",
        "Types that skops files may hold beyond what skops and this server trust, with commas, as the message of "
        "`UntrustedTypes` names them. What the model's own files say about trust is never read.",
        _names,
    ),
    Setting(
        "max_body_bytes",
        "bytes",
        "8388608",
        "A longer request body is answered 413. The bodies of all requests under way may have 8 times as much (16 MiB "
        "or more), and their first 64 KiB as much again; beyond that 429 with Retry-After before the body is read.",
        _whole(1, 1 << 40),
    ),
    Setting("max_rows", "number", "10000", "A request with more rows is answered 413.", _whole(1, 10**9)),
    Setting(
        "max_queue",
        "number",
        "256",
        "So many requests may wait for the model, in each worker; one more is answered 429 with Retry-After before its "
        "body is read, and so is one that could not be answered within `timeout`.",
        _whole(1, 1_000_000),
    ),
    Setting("timeout", "seconds", "30", "A prediction that takes longer is answered 504.", _seconds(0.001, 86400)),
    Setting(
        "batch_max_rows",
        "number",
        "64",
        "So many rows of several requests may share a call of the model, where a trial at load showed that no answer "
        "changes by it. 1 = every request alone.",
        _whole(1, 1_000_000),
    ),
    Setting(
        "batch_max_wait",
        "seconds",
        "0",
        "How long a request may wait for others to share its call. 0 = only what arrives together, or while the model "
        "is busy, is put together.",
        _seconds(0, 60),
    ),
    Setting(
        "threads",
        "number",
        "0",
        "Threads of the model's runtime, in each worker. 0 = the CPU quota of the container, shared among the "
        "workers, at least 1.",
        _whole(0, 1024),
    ),
    Setting(
        "workers",
        "number",
        "1",
        "Processes that serve the model, at most 64, each with a copy of it: for models that keep Python busy, on more "
        "than one CPU. With more than 1 a parent process replaces a worker that dies.",
        _whole(1, MOST_WORKERS),
    ),
    Setting("host", "address", "0.0.0.0", "The address to listen on.", _text),
    Setting(
        "port", "port", str(contract.PORT), "Predictions and everything else. 0 = any free port.", _whole(0, 65535)
    ),
    Setting(
        "ops_port",
        "port",
        str(contract.OPS_PORT),
        "/livez, /readyz, /metrics and /counters only, for probes and scrapes. 0 = any free port.",
        _whole(0, 65535),
    ),
    Setting(
        "connection_max_age",
        "seconds",
        "15",
        "An answer after this age (+- 20 %) ends its connection, so that clients follow a traffic switch. 0 = never.",
        _seconds(0, 86400),
    ),
    Setting(
        "drain_delay",
        "seconds",
        "5",
        "How long after SIGTERM new connections are still accepted, while endpoints propagate.",
        _seconds(0, 3600),
    ),
)


def parser() -> argparse.ArgumentParser:
    """The command line; every flag says its environment variable and its default."""
    made = argparse.ArgumentParser(
        prog="headgate-server",
        description="Serve one version of one model over HTTP. Every flag is also an environment variable.",
        allow_abbrev=False,
    )
    for setting in SETTINGS:
        default = f"default: {setting.default}; " if setting.default else ""
        made.add_argument(
            setting.flag,
            dest=setting.name,
            metavar=setting.type.upper() if " " not in setting.type else setting.type.replace(", ", "|"),
            help=f"{setting.meaning} [{default}{setting.variable}]".replace("%", "%%"),
        )
    return made


def load(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Settings from the command line over the environment over the defaults; SettingsError says what is wrong."""
    given = vars(parser().parse_args(arguments))
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        text = given[setting.name]
        source = setting.flag if text is not None else setting.variable
        if text is None:
            text = environment.get(setting.variable, setting.default)
        # `VARIABLE=` in a manifest means "not set"; tcp:// is Kubernetes telling of a Service called "headgate".
        if not text.strip() or text.startswith("tcp://"):
            text = setting.default
        try:
            values[setting.name] = setting.parse(text.strip())
        except ValueError as error:
            raise SettingsError(f"{source}: {error}, not {text!r}") from None
    settings = Settings(**values)
    _check_together(settings)
    return settings


def _check_together(settings: Settings) -> None:
    if not settings.model:
        raise SettingsError("--model or HEADGATE_MODEL is required: models:/<name>/<version>, or a path")
    if settings.workers > 1 and settings.reload_interval:
        raise SettingsError("--reload-interval: only with --workers=1; several would change one after the other")
    if settings.workers > 1 and settings.fallback is not None:
        raise SettingsError("--fallback: only with --workers=1; of several some could find the registry and some not")
    if settings.model.startswith("models:"):
        reference = registry_reference(settings.model)
        if settings.reload_interval and reference.version and settings.fallback is None:
            raise SettingsError("--reload-interval: one version never changes; name an alias or a stage in --model")
        if not settings.registry_uri:
            raise SettingsError("--registry-uri or HEADGATE_REGISTRY_URI is required for a model in the registry")
        return
    if settings.fallback is not None:
        raise SettingsError("--fallback: only for a model in the registry; this one is a path")
    if re.match(r"[a-z][a-z0-9+.-]+:", settings.model) and not settings.model.startswith("file:"):
        raise SettingsError(f"--model: models:/<name>/<version>, or a path, not {settings.model!r}")


def unknown(environment: Mapping[str, str]) -> list[str]:
    """Variables that look like settings and are none: told at start, for a misspelled limit is no limit.

    Not an error: Kubernetes itself puts HEADGATE_..._SERVICE_HOST into pods beside a Service of that name.
    """
    known = {setting.variable for setting in SETTINGS}
    return sorted(
        name
        for name in environment
        if name.startswith(PREFIX)
        and name not in known
        and not name.startswith(OTHERS)
        and not SERVICE_LINK.search(name)
    )


STAGES: Final = frozenset({"production", "staging", "archived", "none"})

# Variables of Headgate's other programs, which may stand in the same environment on a laptop.
OTHERS: Final = ("HEADGATE_OPERATOR_", "HEADGATE_LOCAL_", "HEADGATE_CLI_", "HEADGATE_DEMO_")
SERVICE_LINK: Final = re.compile(r"_SERVICE_(HOST|PORT)|_PORT(_\d+_(TCP|UDP).*)?$")


@dataclass(frozen=True)
class Reference:
    """A model in the registry by exactly one of version, alias and stage; the last two move."""

    name: str
    version: str = ""
    alias: str = ""
    stage: str = ""


def registry_reference(model: str) -> Reference:
    """What `models:/<quoted name>/<version>`, `.../<Stage>` or `models:/<quoted name>@<alias>` says."""
    if match := re.fullmatch(r"models:/([^/@]+)/([0-9]+)", model):
        return Reference(unquote(match[1]), version=match[2])
    if match := re.fullmatch(r"models:/([^/@]+)@([A-Za-z0-9_-]+)", model):
        return Reference(unquote(match[1]), alias=match[2])
    if (match := re.fullmatch(r"models:/([^/@]+)/([A-Za-z]+)", model)) and match[2].lower() in STAGES:
        return Reference(unquote(match[1]), stage=match[2])
    raise SettingsError(
        "--model: models:/<name>/<version> with a number, models:/<name>@<alias>, or models:/<name>/<Stage> with "
        f"one of Production, Staging, Archived and None, not {model!r}"
    )


def local_path(model: str) -> Path:
    """The folder that `model` names when it is not in the registry."""
    return Path(unquote(urlsplit(model).path)) if model.startswith("file:") else Path(model)


def table() -> str:
    """The settings as the Markdown table of the reference page."""
    lines = ["| variable | flag | type | default | meaning |", "|---|---|---|---|---|"]
    for s in SETTINGS:
        default = f"`{s.default}`" if s.default else ""
        lines.append(f"| `{s.variable}` | `{s.flag}` | {s.type} | {default} | {s.meaning} |")
    return "\n".join(lines)


assert tuple(s.name for s in SETTINGS) == tuple(f.name for f in fields(Settings))  # noqa: S101 - one table, one type
