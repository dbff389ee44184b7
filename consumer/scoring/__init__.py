"""Compare predictions with the speeds measured later, beside the no-change forecast.

It is bounded in time and memory and has no lock of its own: the feed guards it. It must not know the Kafka client,
records or clients.
"""
