"""The reference page says what the commands say."""

from pathlib import Path

from headgate_cli.reference import page

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "cli.md"


def test_the_reference_page_is_what_the_commands_say_of_themselves() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m headgate_cli.reference > docs/reference/cli.md"
