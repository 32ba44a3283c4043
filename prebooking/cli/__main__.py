"""``python -m prebooking.cli``, where the command itself is not on the path."""

from prebooking.cli import main

main()
