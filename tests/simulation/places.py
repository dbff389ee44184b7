"""Positions by topic and partition, as they hold in every process, whatever the order in which it found the topics."""

from typing import NamedTuple

from consumer.view.cursor import ordinals_by_topic


class Where(NamedTuple):
    """Topics by their ids, and the place in each of their logs; a log is (id of the topic, number of the partition)."""

    topics: frozenset
    places: dict

    @classmethod
    def of(cls, position):
        """Return what a position says."""
        found = ordinals_by_topic(position.incarnation, len(position.places))
        places = {
            (topic, number): position.places[ordinal]
            for topic, ordinals in found
            for number, ordinal in enumerate(ordinals)
        }
        return cls(frozenset(topic for topic, _ in found), places)

    def at(self, log):
        """Return the place in a log; one that is not in it is unread."""
        return self.places.get(log, 0)

    def reaches(self, before):
        """Tell whether it is at or past another position, in the topics that both have."""
        return all(self.at(log) >= place for log, place in before.places.items() if log[0] in self.topics)

    def with_added(self, topics, starts):
        """Return it with topics that were added since; `starts` has the places where these were begun, if known."""
        known = {log: place for log, place in starts.items() if log[0] in topics}
        return Where(self.topics | {topic for topic, _ in known}, self.places | known)
