"""A soak test: what clients were told, against what the clouds hold."""
