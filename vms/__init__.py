"""HTTP in, HTTP out: the API's words, in which no cloud is spoken of."""
