"""Checks of the running system, for ``prebooking doctor``, ``prebooking status`` and the operator's page."""
