"""Answer requests under `/api/`, and open streams: one module per subject, with its routes.

It must not know the Kafka client, offsets, or how streams are sent.
"""
