"""Anybody may write an annotation: none may stop the deployment that carries it."""

from __future__ import annotations

import pytest

from headgate_operator.core.command import Malformed, parse_command


@pytest.mark.parametrize(
    "text",
    ['{"id": "\\ud800", "verb": "undo"}', '{"id": "a b"}', "[" * 5000, '{"id": "x", "by": "' + "y" * 9000 + '"}'],
)
def test_an_annotation_that_cannot_be_answered_is_passed_over(text: str) -> None:
    assert parse_command(text) is None


def test_a_command_of_an_impossible_time_is_malformed() -> None:
    text = '{"id": "x", "verb": "undo", "uid": "u", "rollout": 1, "issuedAt": "0001-01-01T00:00:00+14:00"}'
    assert isinstance(parse_command(text), Malformed)
