"""`headgate`: runs the command line; says which extra is missing instead of showing a trace."""

import sys

MISSING = "headgate needs the package {name}: pip install 'headgate[cli]'"


def main() -> None:
    try:
        from headgate_cli.entry import cli
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("headgate_cli"):
            raise
        sys.exit(MISSING.format(name=error.name))
    cli.main(prog_name="headgate")


if __name__ == "__main__":
    main()
