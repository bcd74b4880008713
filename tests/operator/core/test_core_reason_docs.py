"""Every reason that can appear is explained, and nothing is explained that cannot appear."""

import re
from pathlib import Path

from headgate_operator.api.reasons import ConditionType, Reason

TEXT = (Path(__file__).parents[3] / "docs" / "reference" / "conditions.md").read_text(encoding="utf-8")


def test_the_documented_reasons_are_the_closed_list() -> None:
    after = TEXT.partition("## Reasons")[2]
    assert re.findall(r"^\| `(\w+)` \|", after, re.MULTILINE) == [str(reason) for reason in _in_order(after)]
    assert set(re.findall(r"^\| `(\w+)` \|", after, re.MULTILINE)) == set(Reason)


def _in_order(text: str) -> list[Reason]:
    return sorted(Reason, key=lambda reason: text.index(f"| `{reason}` |"))


def test_the_documented_conditions_are_all_there_are() -> None:
    before = TEXT.partition("## Reasons")[0]
    assert re.findall(r"^\| `(\w+)` \|", before, re.MULTILINE) == list(ConditionType)
