"""Stream messages to clients, by Server-Sent Events or WebSocket.

It owns the order of messages, and the blocks that are made once for all clients. It must not know routes, the Kafka
client, offsets, or how it is served.
"""
