"""Properties of the HTTP side that hold for arbitrary requests."""
