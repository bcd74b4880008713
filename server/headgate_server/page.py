"""/docs: the OpenAPI document as one page, with nothing fetched from elsewhere: clusters are often cut off."""

import html as escaping
from collections.abc import Mapping
from typing import Any, Final

STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "code,pre{background:#f3f3f3;border-radius:3px;padding:.1em .3em}td{padding:.2em 1em .2em 0}"
)


def html(document: Mapping[str, Any]) -> str:
    """The page."""
    rows = "".join(
        f"<tr><td>{method.upper()}</td><td><code>{escaping.escape(path)}</code></td>"
        f"<td>{escaping.escape(operation['summary'])}</td></tr>"
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in {"get", "post"}
    )
    title = escaping.escape(f"{document['info']['title']} {document['info']['version']}")
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><style>{STYLE}</style>"
        f"<h1>{title}</h1><p>Schemas: <a href=openapi.json>openapi.json</a>. "
        f"The model's input: <a href=model/schema>model/schema</a>.</p><table>{rows}</table></html>"
    )
