"""Writes the plain manifests under k8s/ from the chart: `python charts/manifests.py` (a test says when it is due).

The chart is the one source: what it renders by default is taken apart, text and comments as they are, without Helm's
own labels. Needs helm: HEADGATE_HELM names it, else the PATH has it.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
CHART = ROOT / "charts" / "headgate"
REGISTRY = "http://set-by-the-kustomization"
HELMS_OWN = re.compile(r"^ +(helm\.sh/chart: .*|app\.kubernetes\.io/managed-by: Helm)\n", re.MULTILINE)
WRITTEN = "# Written by charts/manifests.py from the Helm chart: change its templates.\n"

# Where each template's objects go. The definition is not among them: k8s/ refers to crds/.
BASE = ("serviceaccount", "leader", "deployment", "service", "poddisruptionbudget", "networkpolicy")
CLUSTER_WIDE = ("rbac", "aggregate")
NAMESPACED = ("rbac",)
SAMPLE_NAMESPACE = "team-a"


def helm() -> str | None:
    return os.environ.get("HEADGATE_HELM") or shutil.which("helm")


def rendered(program: str, *values: str) -> dict[str, str]:
    """Template name -> its objects, as text."""
    command = [program, "template", "headgate", str(CHART), "--namespace", "headgate-system"]
    command += ["--set", ",".join([f"registry.uri={REGISTRY}", *values])]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 - our own arguments
    found: dict[str, str] = {}
    for part in re.split(r"^---\n", text, flags=re.MULTILINE):
        if named := re.match(r"# Source: headgate/templates/(.+)\.yaml\n", part):
            name, body = named[1], part[named.end() :].strip("\n") + "\n"
            found[name] = f"{found[name]}---\n{body}" if name in found else body
    return found


def manifests(program: str) -> dict[Path, str]:
    whole, narrow = rendered(program), rendered(program, f"watchNamespaces={{{SAMPLE_NAMESPACE}}}")
    chosen = {Path("base") / f"{name}.yaml": whole[name] for name in BASE}
    chosen |= {Path("cluster-wide") / f"{name}.yaml": whole[name] for name in CLUSTER_WIDE}
    chosen |= {Path("namespaced") / "rights" / f"{name}.yaml": narrow[name] for name in NAMESPACED}
    return {path: WRITTEN + plain(text) for path, text in chosen.items()}


def plain(text: str) -> str:
    return HELMS_OWN.sub("", text).replace(f'"{REGISTRY}"', '""')


if __name__ == "__main__":
    found = helm()
    if found is None:
        sys.exit("charts/manifests.py needs helm: name it in HEADGATE_HELM")
    for path, text in manifests(found).items():
        (ROOT / "k8s" / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / "k8s" / path).write_text(text, encoding="utf-8")
