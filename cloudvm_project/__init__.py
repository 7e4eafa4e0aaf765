"""Wires the service together; holds no behaviour."""

__version__ = "1.0.0"
