"""Make the bodies of answers: the whole view, changes since a cursor, and what is encoded once for all clients.

It must not know routes, streams, the Kafka client or offsets.
"""
