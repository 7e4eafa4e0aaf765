"""What tests share that is no test: a caller of the API, a proxy, a log that is searched for secrets."""
