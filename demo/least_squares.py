"""Least squares by the normal equations, summed up sample by sample."""

from collections.abc import Sequence
from operator import mul

_RIDGE = 1.0


class LeastSquares:
    """Fits weights of `features` numbers to a target."""

    def __init__(self, features: int) -> None:
        self._features = features
        self._matrix = [[0.0] * (features + 1) for _ in range(features)]

    def add(self, samples: Sequence[tuple[float, ...]]) -> None:
        """Add samples: the features, then the target."""
        columns = list(zip(*samples, strict=True))
        for row, column in zip(self._matrix, columns, strict=False):  # without samples there are no columns
            for index, other in enumerate(columns):
                row[index] += sum(map(mul, column, other))

    def solve(self) -> list[float]:
        """Return the weights, by Gaussian elimination. The ridge makes pivoting unnecessary."""
        rows = [list(row) for row in self._matrix]
        for index in range(self._features):
            rows[index][index] += _RIDGE
        for index, row in enumerate(rows):
            rows[index] = [value / row[index] for value in row]
            for other in range(self._features):
                if other != index:
                    factor = rows[other][index]
                    rows[other] = [a - factor * b for a, b in zip(rows[other], rows[index], strict=True)]
        return [row[-1] for row in rows]
