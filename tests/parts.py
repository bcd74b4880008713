"""Run the tests in parts by area, so that a failure names its place, and go on after a part that failed.

`python tests/parts.py unit` or `... cluster` runs the parts of that group one after the other, each in a pytest
process of its own, and ends with a table and one closing line over all of them. Further arguments go to every pytest.
Each part leaves a report in build/results/<part>.xml.
"""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "build" / "results"
TESTBED = ROOT / "tests" / "cluster" / "testbed" / "testbed"

UNIT = {
    "repo": ["tests/repo", "tests/chart"],
    "operator": ["tests/operator"],
    "model": ["tests/model"],
    "simulation": ["tests/simulation"],
    "server": ["tests/server"],
    "local": ["tests/local"],
    "cli": ["tests/cli"],
    "faults": ["tests/faults"],
    "demo": ["tests/demo"],
    "bench": ["tests/bench"],
}
CLUSTER = {
    "conformance": ["tests/local/conformance", "tests/local/kubectl"],
    "chart": ["tests/chart", "tests/cluster/test_cluster_chart_install.py"],
    "delivery": ["tests/cluster", "--ignore-glob=*/test_cluster_chart_*.py"],
}
COUNTS = ("passed", "failed", "errors", "skipped")


@dataclass
class Part:
    name: str
    code: int
    seconds: float
    counts: dict[str, int]

    @property
    def good(self) -> bool:
        return self.code == 0 and self.counts["passed"] > 0


def run(name: str, arguments: list[str]) -> Part:
    """One part. A part that ran no test has failed: something that should have been there was not."""
    print(f"\n######## {name} ########", flush=True)
    report = RESULTS / f"{name}.xml"
    report.unlink(missing_ok=True)
    began = time.monotonic()
    command = [sys.executable, "-m", "pytest", f"--junitxml={report}", *arguments]
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    return Part(name, code, time.monotonic() - began, counted(report))


def counted(report: Path) -> dict[str, int]:
    counts = dict.fromkeys(COUNTS, 0)
    if not report.exists():
        return counts | {"errors": 1}
    for suite in ElementTree.parse(report).iter("testsuite"):
        told = {key: int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped")}
        counts["failed"] += told["failures"]
        counts["errors"] += told["errors"]
        counts["skipped"] += told["skipped"]
        counts["passed"] += told["tests"] - told["failures"] - told["errors"] - told["skipped"]
    return counts


def closing_line(parts: list[Part]) -> str:
    """As pytest itself would have closed one run over all of it."""
    total = {key: sum(part.counts[key] for part in parts) for key in COUNTS}
    order = ("failed", "passed", "skipped", "errors")
    words = [f"{total[key]} {key}" for key in order if total[key] or key == "passed"]
    seconds = sum(part.seconds for part in parts)
    return f" {', '.join(words)} in {seconds:.2f}s ".center(100, "=")


def cluster_arguments() -> dict[str, list[str]]:
    """What each part of the cluster group needs to find the cluster. HEADGATE_CLUSTER: testbed (default) or kind."""
    kind = os.environ.setdefault("HEADGATE_CLUSTER", "testbed")
    if kind == "kind":
        kubeconfig = str(ROOT / "build" / "kind" / "kubeconfig")
    else:
        kubeconfig = subprocess.run([TESTBED, "kubeconfig"], capture_output=True, text=True, check=True).stdout.strip()
    at = [f"--kubeconfig={kubeconfig}"]
    image = [] if kind == "kind" else ["--pod-image=testbed.local/busybox:1"]
    return {"conformance": at + image, "chart": at, "delivery": at}


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] not in {"unit", "cluster"}:
        print(__doc__, file=sys.stderr)
        return 2
    group, more = arguments[0], arguments[1:]
    chosen = UNIT if group == "unit" else CLUSTER
    given = {} if group == "unit" else cluster_arguments()
    RESULTS.mkdir(parents=True, exist_ok=True)
    parts = [run(name, [*paths, *given.get(name, []), *more]) for name, paths in chosen.items()]
    print(f"\n{'part':14}{'result':>8}{'passed':>8}{'failed':>8}{'errors':>8}{'skipped':>8}{'seconds':>9}")
    for part in parts:
        cells = "".join(f"{part.counts[key]:>8}" for key in COUNTS)
        print(f"{part.name:14}{'ok' if part.good else 'FAILED':>8}{cells}{part.seconds:>9.0f}")
    print(closing_line(parts))
    return 0 if all(part.good for part in parts) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
