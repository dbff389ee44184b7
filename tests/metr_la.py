"""Location of a week of METR-LA, if available: METR_LA, else a folder `shared/data/metr-la` beside the project.

It is no part of the project. Without it the tests that would use it run on made-up speeds, and the report says so.
"""

import os
from pathlib import Path

_PLACES = [os.environ.get("METR_LA"), Path(__file__).resolve().parents[2] / "shared/data/metr-la"]

FOLDER = next((Path(place) for place in _PLACES if place and (Path(place) / "speeds.csv.gz").exists()), None)


def report():
    """Say in one line what the tests use."""
    if FOLDER is None:
        return "METR-LA: not available (METR_LA names its folder); its tests run on synthetic speeds only"
    return "METR-LA: available, its tests run on it, too"
