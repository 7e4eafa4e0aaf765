"""The contract on a real account; opt-in: `pytest tests/live --environment NAME`."""
