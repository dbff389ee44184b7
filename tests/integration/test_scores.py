"""Scores through the whole path: replayed speeds, broker, consumer, gunicorn, answer; computed from the file here.

On the first day of a recording, a forecast that learns from the days before is the measured speed. So the file alone
says what every error is.
"""

import csv
import gzip
import json
from datetime import datetime

import pytest

from tests.integration.test_replay import STEP, ZERO, ZONE, files, newest_of, replay
from tests.web.server.test_worker import until

__all__ = ["files"]

STEPS = 24
WHEN = datetime(2012, 3, 1, 18, 0, tzinfo=ZONE)


def speeds_of(files):
    """Return the replayed rows of the file, by detector."""
    with gzip.open(files.speeds, "rt", newline="") as file:
        rows = list(csv.reader(file))
    end = 1 + (WHEN - ZERO) // STEP + 1
    columns = zip(*(map(float, row) for row in rows[end - STEPS : end]), strict=True)
    return {name: [round(speed, 2) for speed in column] for name, column in zip(rows[0], columns, strict=True)}


def errors_after(columns, steps):
    return [now - then for column in columns for now, then in zip(column, column[steps:], strict=False)]


def score(errors):
    """Return what is served for errors of a forecast that is the speed now, and so is persistence."""
    squares = sum(error * error for error in errors) / len(errors)
    means = {"rmse": squares**0.5, "mae": sum(map(abs, errors)) / len(errors), "bias": sum(errors) / len(errors)}
    own = {"count": len(errors), **{name: pytest.approx(mean, abs=0.00501) for name, mean in means.items()}}
    return {**own, "persistence": own}


def scores_of(columns):
    by_steps = {steps: errors_after(columns, steps) for steps in (1, 2, 3)}
    by_horizon = [{"horizon_minutes": 5 * steps, **score(errors)} for steps, errors in by_steps.items()]
    return {**score([error for errors in by_steps.values() for error in errors]), "by_horizon": by_horizon}


def test_scores_of_a_replay_are_those_of_the_file_in_two_servers(serve, environ, files):
    speeds = speeds_of(files)
    first = serve()
    replay(environ, files, WHEN, STEPS, "--fit", "before")
    wanted = scores_of(speeds.values())
    until(lambda: newest_of(first, files.detectors, WHEN)["stats"]["scores"] == wanted)
    later = serve(name="later")
    until(lambda: newest_of(later, files.detectors, WHEN)["stats"]["scores"] == wanted)
    for name in list(speeds)[:3]:
        found = json.loads(later.get(f"/api/predictions/{name}"))["data"]
        assert found["scores"] == scores_of([speeds[name]])
        known = [each["error"] for each in found["history"] if each["error"] is not None]
        assert len(known) == found["scores"]["count"]
        assert all(
            each["error"] == pytest.approx(each["predicted_speed"] - each["actual"], abs=0.00501)
            for each in found["history"]
            if each["actual"] is not None
        )
