"""`python -m tests.kafka.prepare`: fetch Apache Kafka and the schema registry into the cache (`make test-kafka`).

No test waits for Maven then. Also a node runs once to archive the classes that it loads: others start faster with them.
"""

import os
import sys

from tests.kafka.apache import ApacheKafka, KafkaUnavailable, archive
from tests.kafka.registry import RegistryUnavailable, installed


class Recorded(ApacheKafka):
    """A node that archives the classes that it has loaded when it is stopped."""

    def __init__(self, path):
        self._path = path
        super().__init__()

    def _java(self, main):
        java, *others = super()._java(main)
        return [java, f"-XX:ArchiveClassesAtExit={self._path}", *others] if main == "kafka.Kafka" else [java, *others]


def record():
    """Make the archive, if there is none for this Java. Tests run without one, too."""
    path = archive()
    if path.exists():
        return
    made = path.with_name(f"{path.name}.{os.getpid()}")
    with Recorded(made) as kafka:
        kafka.create_topic()
        kafka.stop()
        if made.exists():
            made.replace(path)
        else:
            sys.stderr.write(f"no archive of Kafka's classes could be made; its log ends:\n{kafka.log_tail()}\n")


def main():
    """Fetch what is missing."""
    try:
        installed()
        record()
    except (KafkaUnavailable, RegistryUnavailable) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
