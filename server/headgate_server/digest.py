"""The digest of a model directory: what "the same artifacts" means to pods, operator and users.

sha256 over the lines `<sha256 of file>  <size>  <path>`, sorted by path, of every file. MLflow keeps no checksum
and lets one overwrite a registered version's files, so this is the only proof that two pods serve the same thing.
"""

import hashlib
from pathlib import Path

from headgate_server.contract import DIGEST_PREFIX
from headgate_server.reasons import LoadError, Reason

CHUNK = 1 << 20


def tree_digest(root: Path) -> str:
    """The digest of all files below `root`; a link that leads out of the folder is refused, not followed."""
    inside = root.resolve()
    lines = []
    for path in root.rglob("*"):
        if path.is_dir() and not path.is_symlink():
            continue
        if not path.resolve().is_relative_to(inside) or not path.is_file():
            raise LoadError(
                Reason.ARTIFACT_INVALID, f"{path.relative_to(root).as_posix()} is not a file of this folder"
            )
        size, file_digest = _file_digest(path)
        lines.append((path.relative_to(root).as_posix(), f"{file_digest}  {size}"))
    if not lines:
        raise LoadError(Reason.ARTIFACT_MISSING, "the model directory has no files")
    whole = hashlib.sha256()
    for name, line in sorted(lines):
        whole.update(f"{line}  {name}\n".encode())
    return DIGEST_PREFIX + whole.hexdigest()


def _file_digest(path: Path) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()
