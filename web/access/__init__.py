"""Decide who may do what: slots for clients, origins, forwarded headers, one spelling per path.

It must not know predictions or the feed.
"""
