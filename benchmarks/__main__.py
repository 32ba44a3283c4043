"""``make bench``: measures in this number of rounds, and prints tables; with WRITE=1 also into the documents."""

from __future__ import annotations

import os
import sys


def main() -> int:
    rounds = _rounds()
    from benchmarks.bench import measure_all  # noqa: PLC0415 - its libraries are only installed for the benchmarks

    return measure_all(rounds)


def _rounds() -> int:
    text = os.environ.get("ROUNDS") or "2"
    if not (text.isascii() and text.isdecimal() and int(text)):
        print(f"ROUNDS={text} is no number of rounds: use, for example, ROUNDS=20.")
        sys.exit(2)
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
