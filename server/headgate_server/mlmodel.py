"""The MLmodel file: what a model directory says about itself, read without mlflow.

Everything in it is the uploader's word: types are checked, file names are held inside the folder, and the list of
trusted types that MLflow writes there is not read at all.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from headgate_server import signature
from headgate_server.reasons import LoadError, Reason

MLMODEL: Final = "MLmodel"
MAX_BYTES: Final = 4 << 20
SERVED_FLAVORS: Final = ("onnx", "sklearn", "xgboost", "lightgbm")


@dataclass(frozen=True)
class Description:
    """The parts of an MLmodel that serving needs."""

    root: Path
    flavor: str
    flavor_fields: Mapping[str, Any]
    predict_fn: str
    signature: signature.Signature
    example: Path | None
    run_id: str = ""
    requirements: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def file(self, name: Any, what: str) -> Path:
        """A file of the model directory that MLmodel names; it must be there and inside."""
        if not isinstance(name, str) or not name:
            raise LoadError(Reason.ARTIFACT_INVALID, f"MLmodel: {what} is not a file name")
        try:
            path = (self.root / name).resolve()
            there = path.is_file()
        except (OSError, ValueError, RuntimeError):  # too long, a NUL, a circle of links
            raise LoadError(Reason.ARTIFACT_INVALID, f"MLmodel: {what} is not a file name") from None
        if not path.is_relative_to(self.root.resolve()):
            raise LoadError(Reason.ARTIFACT_INVALID, f"MLmodel: {what} lies outside the model directory")
        if not there:
            raise LoadError(Reason.ARTIFACT_MISSING, f"MLmodel names {name}, which is not there")
        return path


def read(root: Path) -> Description:
    """Describe the model directory `root`, or say why it cannot be served."""
    raw = _document(root)
    flavors = raw.get("flavors")
    if not isinstance(flavors, dict) or not flavors:
        raise LoadError(Reason.ARTIFACT_INVALID, "MLmodel: no flavors")
    flavor = next((name for name in SERVED_FLAVORS if isinstance(flavors.get(name), dict)), None)
    if flavor is None:
        names = ", ".join(sorted(text(name) for name in flavors))
        raise LoadError(Reason.UNSUPPORTED_FLAVOR, f"flavors {names}; served are {', '.join(SERVED_FLAVORS)}")
    pyfunc = flavors.get("python_function")
    predict_fn = pyfunc.get("predict_fn", "predict") if isinstance(pyfunc, dict) else "predict"
    metadata = raw.get("metadata")
    described = Description(
        root=root,
        flavor=flavor,
        flavor_fields=flavors[flavor],
        predict_fn=text(predict_fn),
        signature=signature.parse(raw.get("signature")),
        example=None,
        run_id=text(raw.get("run_id")),
        requirements=_requirements(root),
        metadata=metadata if isinstance(metadata, dict) else {},
    )
    return _with_example(described, raw.get("saved_input_example_info"))


def text(value: Any) -> str:
    """A word of MLmodel. Anything but a plain one is none: by references within it, a list of YAML can be as long as
    it likes when it is written out."""
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def _document(root: Path) -> dict[str, Any]:
    path = root / MLMODEL
    if not path.is_file():
        raise LoadError(Reason.ARTIFACT_MISSING, "there is no MLmodel file")
    if path.stat().st_size > MAX_BYTES:
        raise LoadError(Reason.ARTIFACT_INVALID, "MLmodel is larger than any real one")
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError):
        raise LoadError(Reason.ARTIFACT_INVALID, "MLmodel is not YAML") from None
    if not isinstance(raw, dict):
        raise LoadError(Reason.ARTIFACT_INVALID, "MLmodel is not a YAML object")
    return raw


def _with_example(described: Description, info: Any) -> Description:
    name = info.get("serving_input_path") if isinstance(info, dict) else None
    if not name:
        return described
    return Description(**{**vars(described), "example": described.file(name, "serving_input_path")})


def _requirements(root: Path) -> dict[str, str]:
    """Exact pins of requirements.txt by package; the file may be absent, and most of it does not matter here."""
    path = root / "requirements.txt"
    if not path.is_file() or path.is_symlink() or path.stat().st_size > MAX_BYTES:
        return {}
    pins = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        name, equals, version = line.partition("==")
        if equals:
            pins[name.strip().lower()] = version.split(";")[0].strip()
    return pins
