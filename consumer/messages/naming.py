"""Normalise records of several topics: each item names the topic that it was read from."""

from msgspec.structs import force_setattr

from consumer.settings import Settings
from consumer.sources.record import Record

from .normalise import Normaliser
from .normalised import Normalised


class TopicNormaliser(Normaliser):
    """A normaliser whose items have `topic`. A process that reads one topic does without the work of this."""

    def __call__(self, record: Record, now_ms: int | None = None) -> Normalised:
        """Return the content of one record."""
        normalised = super().__call__(record, now_ms)
        for _, item in normalised.items:
            force_setattr(item, "topic", record.topic)  # no other thread has it yet
        return normalised


def normaliser_for(settings: Settings) -> type[Normaliser]:
    """Return the normaliser for the number of topics that are read."""
    return TopicNormaliser if settings.reads_several else Normaliser
