"""The HTTP server of `manage.py serve`: supervisor, worker processes, ASGI front, WSGI application."""
