"""Entry point of ``python -m prebooking.cli``, for use without the ``prebooking`` script on the path."""

from prebooking.cli import main

main()
