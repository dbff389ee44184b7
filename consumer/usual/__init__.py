"""The usual speeds of each segment by weekday and quarter-hour, learnt from what was measured and kept in one file.

It reads the feed like a client, on a thread of its own. It must not know the Kafka client, or clients.
"""
