"""The version of evmon."""

__version__ = "0.1.0"
