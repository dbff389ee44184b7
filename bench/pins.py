"""The versions of all peers, in one place. Apache Kafka's is in tests/kafka/pom.xml, nginx and Nchan are Debian's."""

CENTRIFUGO = ("github.com/centrifugal/centrifugo/v6", "v6.9.1")

NPM = {"kafkajs": "2.2.4", "kafka-sse": "0.4.2", "node-rdkafka": "2.18.0"}

PYTHON = {
    "aiokafka": "0.14.0",
    "sse-starlette": "3.7.0",
    "starlette": "1.10.0",
    "uvicorn": "0.54.0",
    "uvloop": "0.23.0",
    "httptools": "0.9.0",
    "confluent-kafka": "2.16.1",
}
"""Of the virtual environment that the producer, the bridges and the ASGI peer run in; the product does not use it."""

DEBIAN = ("nginx", "libnginx-mod-nchan")
