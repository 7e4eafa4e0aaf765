"""Prism Element's v2.0 API."""
