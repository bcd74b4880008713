"""`python -m headgate_local`."""

from __future__ import annotations

import sys

from headgate_local import tool


def main() -> None:
    sys.exit(tool.main())


if __name__ == "__main__":
    main()
