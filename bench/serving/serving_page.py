"""docs/benchmarks/serving.md from a record: the goals, the tables, the machine, and how it was measured."""

from __future__ import annotations

from serving_contenders import BY_NAME
from serving_musts import Goal
from serving_record import Record
from serving_samples import CONNECTIONS, MODELS, ROWS, Cell, middle, of, ratio

MODEL_TITLES = {"lr": "Logistic regression", "rf": "Random forest of 100 trees"}
METHOD = """\
`make bench-serving` does all of it: each peer is installed into an environment of its own, the models are trained once,
every server runs on loopback with one worker, pinned to core 0, and is loaded by wrk from core 1.

* The rows are irises. Headgate serves the models as ONNX, as skl2onnx makes them, and answers labels and probabilities;
  the others serve the same models with scikit-learn and answer labels. Metrics are on, validation is `Strict`.
* A server is asked once for every load before it is measured: a 200 with the right classes, or it is not measured.
* In each round every server gets every load once, one after the other, in an order that turns with the round; those
  that are not asked are stopped. Ratios are taken within a round, and the table has their medians. What is not a 200
  earns nothing.
* The echo is an ASGI application that reads the body and answers JSON as long as Headgate's answer, on the same uvicorn
  with the same settings.
* With one connection most of a request's time is the way there and back, the echo's as well: 60 % of the echo, which is
  aimed at, is 30 to 36 times a server that takes 3.5 ms for the forest. So its 50 times are judged with 16 and 64
  connections, as with the models above, and those with one are told beside what the echo reaches.
* KServe runs its own server with the model as its scikit-learn runtime has it; BentoML a service of one API.
* "Tuned" is MLServer without worker processes, gzip and logs, and MLflow's scoring application under uvloop and
  httptools, without logs and with a model that has no signature to enforce.
* Start is from the process to the first 200 on its readiness path; the first start is not counted. Memory is read after
  a load of 16 connections, over all processes of the server.
* Liveness is asked every 10 ms on new connections, and late from when the probe was due; the figure is the worst p99 of
  three times 2 s. The peers' busy model multiplies matrices in numpy, ours turns an ONNX loop.
"""


def page(record: Record) -> str:
    parts = [
        "# Serving, measured side by side",
        "Written by `make bench-serving`, with the [raw figures](serving.json). Do not edit.",
        _trouble(record),
        "## Musts and aims",
        _goals(record.goals()),
    ]
    for model in MODELS:
        for rows in ROWS:
            parts += [f"## {MODEL_TITLES[model]}, {rows} row{'s' if rows > 1 else ''}", _rates(record, model, rows)]
    parts += ["## Start, memory, liveness", _processes(record), "## Where", _where(record), "## How", METHOD]
    return "\n\n".join(part.rstrip() for part in parts if part) + "\n"


def _trouble(record: Record) -> str:
    told = [
        f"* {record.titles.get(name, name)}: {_flat(text)}" for name, all_ in record.errors.items() for text in all_
    ]
    failed = sum(sample.failed for sample in record.samples)
    if failed:
        names = sorted({sample.contender for sample in record.samples if sample.failed})
        told.append(f"* {failed:,} requests were not answered with a 200: {', '.join(names)}.")
    return "\n".join(["What could not be measured, and what failed:", "", *told]) if told else ""


def _flat(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines)[-400:].replace("|", "\\|")


def _goals(goals: list[Goal]) -> str:
    lines = ["| | measured | must | aim | |", "|---|---|---|---|---|"]
    for goal in goals:
        sign = "" if goal.least else "<= "
        measured = "" if goal.value is None else f"{_short(goal.value)} {goal.unit}"
        aim = "" if goal.aim is None else f"{sign}{goal.aim:g} {goal.unit}"
        lines.append(f"| {goal.what} | {measured} | {sign}{goal.must:g} {goal.unit} | {aim} | {goal.verdict} |")
    return "\n".join(lines)


def _rates(record: Record, model: str, rows: int) -> str:
    titles = [f"{connections} connection{'s' if connections > 1 else ''}" for connections in CONNECTIONS]
    lines = [
        "Requests a second; p50 / p90 / p99 in ms; how many times as many Headgate answers (and the rounds' range).",
        "",
        f"| | {' | '.join(titles)} |",
        "|---|" + "---|" * len(CONNECTIONS),
    ]
    for name, title in record.titles.items():
        cells = [_cell(record, name, Cell(model, rows, connections)) for connections in CONNECTIONS]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(record: Record, name: str, cell: Cell) -> str:
    samples = of(record.samples, name, cell)
    rate = middle(samples, "rate")
    if rate is None:
        return "not measured"
    late = " / ".join(_short((middle(samples, field) or 0) / 1000) for field in ("p50", "p90", "p99"))
    text = f"{rate:,.0f}; {late}"
    ours = BY_NAME[name].against
    found = ratio(record.samples, ours, name, cell) if ours else None
    if found is not None:
        text += f"; **{_short(found.median)}x** ({_short(found.low)} to {_short(found.high)})"
    failed = sum(sample.failed for sample in samples)
    return f"{text}; {failed:,} failed" if failed else text


def _processes(record: Record) -> str:
    lines = ["| | start to Ready | RSS | PSS | liveness p99 |", "|---|---|---|---|---|"]
    for name, title in record.titles.items():
        start, late = record.starts.get(name), record.worst_liveness(name)
        seconds, rss, pss = (start.middle, start.rss_mib, start.pss_mib) if start else (None, None, None)
        cells = [_unit(seconds, "s"), _unit(rss, "MiB"), _unit(pss, "MiB"), _unit(late, "ms")]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _where(record: Record) -> str:
    m = record.machine
    busiest = max((sample.generator_busy for sample in record.samples), default=0.0)
    versions = ", ".join(f"{package} {version}" for package, version in record.versions.items())
    machine = f"{m['cpu']}, {m['cores']} cores, {m['memory_gib']:g} GiB; {m['system']}, Linux {m['kernel']}"
    taken = f"the host took {record.stolen_ticks / 100:g} s of the cores away"
    lines = (
        f"{machine}, Python {m['python']}; load average before: {m['load_before']:g}.",
        f"{versions}; {m['wrk']}.",
        f"{record.at}: {record.rounds} rounds of {record.seconds:g} s a load.",
        f"The generator used at most {100 * busiest:.0f} % of its core; {taken}.",
    )
    return "\n".join(f"* {line}" for line in lines)


def _unit(value: float | None, unit: str) -> str:
    return "" if value is None else f"{_short(value)} {unit}"


def _short(value: float) -> str:
    """Three digits: more is noise."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
