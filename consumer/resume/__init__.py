"""Continue a client after its cursor: from memory, by a replay from Kafka, or with one gap.

It owns subscriptions, replay readers and their bounds. It must not know sockets, HTTP or the consumer thread.
"""
