"""The cloud side: how each cloud makes, moves and removes VMs. Knows neither HTTP requests nor DRF."""
