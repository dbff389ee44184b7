"""Run the consumer: one thread per process, its states, attempts and supervision, and the singleton.

It must not know HTTP, clients or how messages are encoded.
"""
