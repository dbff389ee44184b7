"""Say what a stream says, and carry it by Server-Sent Events or WebSocket.

It owns the wire format and the order of messages. It must not know the Kafka client, offsets or the server.
"""
