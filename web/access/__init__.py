"""Decide who may do what: principals and their limits, slots for clients, origins, forwarded headers, one
spelling per path.

It must not know the feed.
"""
