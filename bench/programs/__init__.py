"""Programs that run as processes of their own: the producer, bridges, and the servers that are written here.

Those in Python import nothing of the product; the producer, the bridge and the ASGI application run in the virtual
environment of the peers.
"""
