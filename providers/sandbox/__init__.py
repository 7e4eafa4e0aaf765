"""The sandbox: the clouds' own protocols on loopback, with state and faults, so that no account is needed.

Ordinary servers on real sockets. What serves a request never imports them: an environment's `url` leads here.
"""
