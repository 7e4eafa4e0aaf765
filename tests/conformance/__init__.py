"""One suite for all clouds, written against the contract; a cloud joins it with a short harness."""
