"""`headgate demo`: set up the lab, tell the story under load, print and judge the result, leave nothing behind."""

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

from rich.console import Console

from headgate_cli.demo import report
from headgate_cli.demo.lab import Lab
from headgate_cli.demo.load import Load, Tally
from headgate_cli.demo.processes import ChildError
from headgate_cli.demo.story import NAME, Story, StoryError
from headgate_cli.demo.timeline import Timeline


def run(*, keep: bool, report_file: Path | None) -> int:
    """Run the demonstration. Returns the exit code: 0 only if no request was lost and every step held."""
    signal.signal(signal.SIGTERM, _end)
    console = Console()
    timeline = Timeline(console)
    try:
        lab = Lab.kept(timeline) if keep else Lab.temporary(timeline)
    except ChildError as error:
        console.print(f"[bold red]The demonstration cannot start:[/bold red] {error}", highlight=False)
        return 1
    story = Story(lab, timeline)
    tally = Tally()
    failure = ""
    try:
        timeline.chapter("0. The parts: control plane, MLflow, six trained models, operator")
        lab.start()
        story.first_deployment()
        with Load(lab.public_url(NAME)) as load:
            tally = load.tally
            timeline.live = lambda: f"{tally.sent} requests sent, {len(tally.lost())} lost, {tally.by_version()}"
            story.under(load)
            story.promote_on_evidence(load)
            story.roll_back_for_errors(load)
            story.roll_back_for_latency(load)
            story.wait_without_traffic(load)
            story.refuse_a_bad_version(load)
            story.lose_the_registry(load)
            story.undo(load)
    except (StoryError, ChildError) as error:
        failure = str(error)
    except KeyboardInterrupt:
        failure = "interrupted"
    finally:
        timeline.live = lambda: ""
        if failure or not keep:
            lab.close()
    failure = failure or _judge(tally)
    result = report.report(story, tally, timeline, ok=not failure)
    report.show(timeline, result)
    if report_file is not None:
        report.write(report_file, result)
    if failure:
        console.print(f"\n[bold red]The demonstration failed:[/bold red] {failure}", highlight=False)
        return 1
    console.print(f"\nEvery step held, no request was lost. It took {timeline.seconds:.0f} s.", highlight=False)
    if keep:
        console.print(lab.next_steps(), highlight=False, soft_wrap=True)
    return 0


def _judge(tally: Tally) -> str:
    """Why the story failed although its steps held, or an empty text."""
    lost = tally.lost()
    if lost:
        kinds = ", ".join(sorted({("pooled: " if a.pooled else "fresh: ") + a.lost for a in lost})[:5])
        return f"{len(lost)} of {tally.sent} requests were lost ({kinds})"
    failed = tally.failed_by_version()
    if set(failed) != {"3"}:
        return f"only version 3 answers with errors, but they were {failed}"
    if "6" in tally.by_version():
        return "version 6 answered requests"
    return ""


def _end(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 - the signature of a signal handler
    # As Ctrl-C: the lab is closed on the way out, so that nothing is left running.
    print("ending ...", file=sys.stderr)  # noqa: T201
    raise KeyboardInterrupt
