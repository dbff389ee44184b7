"""Answer requests that end: polling, history, health and metrics, with their parameters.

It must not know the Kafka client, offsets or the syntax of streams.
"""
