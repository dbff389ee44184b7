"""Turn the bytes of a record into predictions, a removal or refusals, and keep what was refused.

It owns field names, units, times, horizons and the road network. It must not know the Kafka client, threads or the
feed.
"""
