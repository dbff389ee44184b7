"""Publish predictions to Kafka for clients: bodies, checks, repeated requests.

It must not know routes, the Kafka client or the feed.
"""
