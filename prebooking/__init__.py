"""Books a scarce class for people at the moment its booking opens."""

__version__ = "0.1.0"
