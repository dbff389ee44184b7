"""Limit what one client may use: its address behind proxies, its rates, and what it holds, for operators to see.

It must not know predictions or the feed.
"""
