"""Serve sockets: the gunicorn worker, request heads, slow answers, file descriptors.

It must not know routes, predictions or the feed.
"""
