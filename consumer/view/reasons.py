"""The reasons of the consumer's states, which clients get. The page translates these (static/js/view/reasons.js).

Clients see neither broker addresses nor errors of the Kafka client.
"""

SEE_LOG = "; the server's log says what is wrong"
"""Follows a reason of which the log has details."""

NOT_STARTED = "not started"
STOPPED = "stop() was called"
CONNECTING = "connecting to Kafka"
SILENT = "no response from the broker for {seconds} s"
CIRCUIT_OPEN = "no answer to {failures} or more attempts; probing at most every {seconds} s"
TOPIC_MISSING = "topic {topic} does not exist, or may not be seen; it is picked up when it is there"
NO_TOPIC_MATCHES = "no topic matches {topic}, or may not be seen; it is picked up when it is there"
LEADER_SILENT = "no response from the leader of partition {partition}"
LEADERS_SILENT = "no response from the leader of partitions {partitions}"
LEADERS_BACK = "the leaders of all partitions answer again"
AT_OFFSETS = "positioned at offsets {offsets}"
IN_PARTITIONS = "positioned in {partitions} partitions of {topics} topics"
BEHIND = "more than {seconds} s behind the end of the topic (MAX_LAG)"
CURRENT = "read up to the high watermark of every partition"
FAILED = "a request to Kafka failed"
UNEXPECTED = "unexpected {error}, see the log"
STALLED = "the consumer thread is stalled"
