"""Describe the API: OpenAPI for requests, AsyncAPI for streams, and a page made from both.

Schemas come from the types that are encoded. It must not know the Kafka client, offsets or the feed.
"""
