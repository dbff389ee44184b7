"""Answer requests that are not streams: polling, history, health and metrics, with their query parameters.

It must not know the Kafka client, offsets or the syntax of streams.
"""
