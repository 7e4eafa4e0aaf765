"""Prism Central's v4 APIs: namespaces with versions, ETags, request ids and rate limits."""
