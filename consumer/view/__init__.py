"""Hold what a process serves: ring buffer, latest view and status under one lock, and the cursor into them.

It must not know the Kafka client, sockets or how messages are encoded.
"""
