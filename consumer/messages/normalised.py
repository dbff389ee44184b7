"""What a record becomes: predictions and observations, a removal, or refusals."""

from collections.abc import Sequence

from msgspec import Struct

from consumer.parsing.refusal import Refusal
from consumer.prediction import Observation, Prediction


class Normalised(Struct, frozen=True, gc=False):
    """The content of a record.

    `items` are pairs (index within the record, prediction or observation) with rising index from 0; each item and each
    refusal has one. `removal` is the segment that a tombstone names. `unclear_horizons` counts predictions with
    a horizon or target that can't be used, or with a target that is no whole number of minutes ahead.
    """

    items: Sequence[tuple[int, Prediction | Observation]]
    refusals: list[Refusal]
    removal: str | None
    unclear_horizons: int = 0

    @property
    def predictions(self) -> list[tuple[int, Prediction]]:
        """The predictions among the items."""
        return [(index, item) for index, item in self.items if isinstance(item, Prediction)]

    @property
    def observations(self) -> list[tuple[int, Observation]]:
        """The observations among the items."""
        return [(index, item) for index, item in self.items if isinstance(item, Observation)]
