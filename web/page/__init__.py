"""Serve the dashboard: templates, assets and the headers that protect them.

It must not know the Kafka client or streams.
"""
