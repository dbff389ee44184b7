"""Read records from Kafka, or from memory, under one contract.

It owns the Kafka client, its security options and the hooks into its fetcher. It must not know predictions, the feed or
who reads it.
"""
