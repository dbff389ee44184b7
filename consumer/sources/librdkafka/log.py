"""The log lines of librdkafka about metadata: nothing else says that a topic has another id than before."""

from collections.abc import Callable

_NO_ID = "from AAAAAAAAAAAAAAAAAAAAAA"
"""The id before the first metadata, in Base64."""


class MetadataLog:
    """Takes the lines in the place of a logger. They come in poll(), and before any record of the other topic."""

    def __init__(self, note_other_topic: Callable[[], None]) -> None:
        self._note_other_topic = note_other_topic

    def log(self, _level: int, _form: str, *parts: str) -> None:
        """Take a line, as a logger does."""
        if "changed id from" in parts[-1] and _NO_ID not in parts[-1]:
            self._note_other_topic()
