"""Prism Central's v3 API, by intent: a spec goes in, and its state says how far it is."""
