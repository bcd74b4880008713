"""What a client accepts: plain objects, tables, or bare metadata; JSON or YAML; never protobuf."""

from __future__ import annotations

from dataclasses import dataclass

from headgate_local.errors import not_acceptable

SERVED = ("application/json", "application/yaml")


@dataclass(frozen=True)
class Form:
    """How an answer is to look. `shape` is empty, Table, PartialObjectMetadata(List) or APIGroupDiscoveryList."""

    media_type: str = "application/json"
    shape: str = ""

    @property
    def is_table(self) -> bool:
        return self.shape == "Table"

    @property
    def is_metadata(self) -> bool:
        return self.shape.startswith("PartialObjectMetadata")


def form_of(accept: str) -> Form:
    """The first acceptable form that is served here; 406 where there is none."""
    for choice in accept.split(",") if accept.strip() else ["*/*"]:
        media_type, *rest = [part.strip() for part in choice.split(";")]
        options = dict(part.split("=", 1) for part in rest if "=" in part)
        if media_type in ("*/*", "application/*"):
            media_type = SERVED[0]
        if media_type not in SERVED:
            continue
        shape = options.get("as", "")
        if not shape or _serves(shape, options):
            return Form(media_type, shape)
    raise not_acceptable([*SERVED, "application/vnd.kubernetes.protobuf"])


def _serves(shape: str, options: dict[str, str]) -> bool:
    group, version = options.get("g", ""), options.get("v", "")
    if shape in ("Table", "PartialObjectMetadata", "PartialObjectMetadataList"):
        return (group, version) == ("meta.k8s.io", "v1")
    return (shape, group, version) == ("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2")
