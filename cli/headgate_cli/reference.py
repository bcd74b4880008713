"""docs/reference/cli.md, made from the commands themselves: `python -m headgate_cli.reference > docs/reference/cli.md`.

A test compares the two, so the page cannot say what the commands do not.
"""

import click

from headgate_cli.entry import HELP_NAMES, cli

HEAD = """\
# The command line

`headgate` talks to the Kubernetes API with the kubeconfig of `kubectl`, and to nothing else. A command that changes
something (`undo`, `pause`, `restart` and others) writes one annotation; the operator answers it in
`status.lastCommand`, and `headgate` waits for that answer. It is refused where the object has moved on since you
looked. While an earlier command waits for its answer the next one waits for its turn; only `abort` does not. Nothing
of this edits the spec.

Installed as `kubectl-headgate` as well: `kubectl headgate status` is the same as `headgate status`.

Exit status: 0 = done, 1 = not done (the message says why), 2 = not understood.

This page is made from the commands: `python -m headgate_cli.reference > docs/reference/cli.md`.
"""
WIDTH = 100


def page() -> str:
    parts = [HEAD, _block("headgate", cli)]
    for name, command in sorted(cli.commands.items()):
        parts.append(f"## headgate {name}\n")
        parts.append(_block(f"headgate {name}", command))
    return "\n".join(parts)


def _block(path: str, command: click.Command) -> str:
    names = command.context_settings.get("help_option_names", HELP_NAMES)
    if not names:  # another program: its arguments are its own
        return f"{command.help}\n"
    context = click.Context(
        command, info_name=path, max_content_width=WIDTH, terminal_width=WIDTH, help_option_names=names
    )
    return f"```text\n{command.get_help(context).rstrip()}\n```\n"


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201
