"""Writes the chart's README from the comments of values.yaml: `python charts/readme.py` (a test says when it is due).

A comment belongs to the key under it. A key whose value is a mapping with commented keys of its own is a heading, not a
value.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parent / "headgate"
KEY = re.compile(r"^(?P<indent> *)(?P<name>[A-Za-z][A-Za-z0-9]*):")
COMMENT = re.compile(r"^ *# ?(?P<text>.*)$")

HEAD = """\
# The Helm chart of Headgate

<!-- Written by charts/readme.py from values.yaml: change that, then run `python charts/readme.py`. -->

{description} For Kubernetes {kubernetes}.

```
helm upgrade --install headgate charts/headgate --namespace headgate-system --create-namespace \\
  --set registry.uri=http://mlflow.mlops:5000
```

From install to uninstall, what each right is for, and the same without Helm: [docs/install.md](../../docs/install.md).

## Values

| value | default | meaning |
|---|---|---|
"""


def comments(text: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Each key's path with the comment above it, in the order of the file; "" where it has none."""
    path: list[str] = []
    above: list[str] = []
    for line in text.splitlines():
        if said := COMMENT.match(line):
            above.append(said["text"])
        elif key := KEY.match(line):
            depth = len(key["indent"]) // 2
            path = [*path[:depth], key["name"]]
            yield tuple(path), " ".join(above)
            above = []
        else:
            above = []


def value_at(values: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        values = values[name]
    return values


def rows(text: str) -> Iterator[tuple[str, Any, str]]:
    """What a user sets: name, default and meaning. `resources` is one value, though it has parts."""
    values = yaml.safe_load(text)
    told: set[tuple[str, ...]] = set()
    for path, comment in comments(text):
        if any(path[:length] in told for length in range(1, len(path))):
            continue
        if comment or not isinstance(value_at(values, path), dict):
            told.add(path)
            yield ".".join(path), value_at(values, path), comment


def readme(chart: Path = CHART) -> str:
    about = yaml.safe_load((chart / "Chart.yaml").read_text(encoding="utf-8"))
    lines = [
        f"| `{name}` | `{json.dumps(default)}` | {meaning} |"
        for name, default, meaning in rows((chart / "values.yaml").read_text(encoding="utf-8"))
    ]
    lowest = about["kubeVersion"].removeprefix(">=").removesuffix(".0-0")
    head = HEAD.format(description=about["description"], kubernetes=f"{lowest} and later")
    return head + "\n".join(lines) + "\n"


if __name__ == "__main__":
    (CHART / "README.md").write_text(readme(), encoding="utf-8")
