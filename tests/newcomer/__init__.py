"""The README is true: what it tells to type is typed here."""
