"""The cloud side: what a VM is, and how each cloud makes, moves and removes one. Knows neither HTTP requests nor DRF."""
