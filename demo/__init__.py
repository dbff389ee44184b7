"""Data to try the product with: an embedded broker, a synthetic feed, replay of recordings, and `make run` of it all.

This package must not know the web side, nor the Kafka client: it publishes through `cli.publish`.
"""
