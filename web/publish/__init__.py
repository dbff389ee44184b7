"""Publish predictions to Kafka for clients: bodies, checks, repeated requests, the route.

It must not know the Kafka client or the feed.
"""
