"""Wires the service together; holds no behaviour."""
