"""``make bench``: prints the costs, measured in this number of rounds."""

from __future__ import annotations

import os
import sys


def main() -> None:
    rounds = _rounds()
    from benchmarks.table import print_table  # noqa: PLC0415 - its libraries are only installed for the benchmarks

    print_table(rounds)


def _rounds() -> int:
    text = os.environ.get("ROUNDS") or "3"
    if not (text.isascii() and text.isdecimal() and int(text)):
        print(f"ROUNDS={text} is no number of rounds: use, for example, ROUNDS=20.")
        sys.exit(2)
    return int(text)


if __name__ == "__main__":
    main()
