"""Feed to clients: streams, API, page, and the server that runs them.

It must not know Kafka, offsets, and what operators run (`cli`, `demo`). Each of its packages says more.
"""
