"""What a record becomes: predictions, a removal, or refusals."""

from msgspec import Struct

from consumer.prediction import Prediction

from .refusal import Refusal


class Normalised(Struct, frozen=True, gc=False):
    """The content of a record.

    `predictions` are pairs (index within the record, prediction) with rising index from 0; each prediction and each
    refusal has one. `removal` is the segment that a tombstone names. `unclear_horizons` counts predictions with
    a horizon or target that can't be used, or with a target that is no whole number of minutes ahead.
    """

    predictions: list[tuple[int, Prediction]]
    refusals: list[Refusal]
    removal: str | None
    unclear_horizons: int = 0
