"""Describe the API: OpenAPI for requests, AsyncAPI for streams, and a page made from both.

A module per subject has the shapes of its answers and its operations; `operations` joins them. Schemas come from the
types that are encoded. It must not know the Kafka client, offsets or the feed.
"""
