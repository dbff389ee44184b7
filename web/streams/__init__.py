"""Stream messages to clients, by Server-Sent Events or WebSocket.

It owns the wire format, the order of messages, and what is encoded once for all clients. It must not know the Kafka
client, offsets, or how it is served.
"""
