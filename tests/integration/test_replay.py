"""Recorded speeds through the whole path: file, replay command, broker, consumer, gunicorn, answer.

What is expected is computed from the file here, by the csv module and the rule of categories alone. The week of METR-LA
(207 detectors) is used where it is available, see `tests.metr_la`; synthetic speeds always.
"""

import csv
import gzip
import json
import os
import random
import subprocess
import sys
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest

from tests import metr_la
from tests.web.server.test_worker import until

ZONE = ZoneInfo("America/Los_Angeles")
ZERO = datetime(2012, 3, 1, tzinfo=ZONE)
STEP = timedelta(minutes=5)


class Files(NamedTuple):
    speeds: Path
    sensors: Path
    detectors: int


def made_up_files(folder):
    """Write two days of 40 detectors."""
    chance, files = random.Random(7), Files(folder / "speeds.csv.gz", folder / "sensors.csv", 40)
    names = [str(700 + number) for number in range(40)]
    with gzip.open(files.speeds, "wt", newline="") as file:
        csv.writer(file).writerows([names, *([round(chance.uniform(3, 75), 3) for _ in names] for _ in range(2 * 288))])
    with files.sensors.open("w", newline="") as file:
        header = ("sensor_id", "latitude", "longitude", "freeway", "direction")
        csv.writer(file).writerows([header, *((name, 34.1, -118.2, "US101", "N") for name in names)])
    return files


@pytest.fixture(params=["made-up", *(["METR-LA"] if metr_la.FOLDER else [])])
def files(request, tmp_path):
    if request.param == "made-up":
        return made_up_files(tmp_path)
    return Files(metr_la.FOLDER / "speeds.csv.gz", metr_la.FOLDER / "sensors.csv", 207)


def speeds_at(files, when):
    """Return the measured speeds of a step, by detector."""
    with gzip.open(files.speeds, "rt", newline="") as file:
        rows = list(csv.reader(file))
    return dict(zip(rows[0], map(float, rows[1 + (when - ZERO) // STEP]), strict=True))


def category(mph):
    if mph >= 60:
        return "free_flow"
    return "moderate_traffic" if mph >= 45 else "heavy_traffic" if mph >= 30 else "severe_congestion"


def replay(environ, files, until_time, steps, *options):
    """Run the command as a person would, up to and with the step of a time."""
    begin = until_time - (steps - 1) * STEP
    command = [sys.executable, "-m", "flask", "--app", "app", "replay", str(files.speeds)]
    command += ["--sensors", str(files.sensors), "--start", "2012-03-01T00:00", "--zone", "America/Los_Angeles"]
    command += ["--step", "300", "--speed", "max", "--from", f"{begin:%Y-%m-%dT%H:%M}", "--limit", str(steps)]
    done = subprocess.run(
        [*command, *options], env=os.environ | environ, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def newest_of(server, count, when):
    """Wait for the answer in which all segments stand at a time, and return its data."""
    timestamp = round(when.timestamp() * 1000)
    found = {}

    def all_there():
        found.update(json.loads(server.get("/api/predictions"))["data"])
        stamps = [each["timestamp"] for each in found["predictions"]]
        return stamps == [timestamp] * count

    until(all_there)
    return found


def test_answer_to_a_replayed_step_has_the_categories_of_the_file(serve, environ, files):
    # On the first day there is nothing to learn from, so the forecast is the measured speed: the file alone decides.
    when = datetime(2012, 3, 1, 17, 30, tzinfo=ZONE)
    measured = speeds_at(files, when)
    server = serve()
    replay(environ, files, when, 6, "--fit", "before")
    data = newest_of(server, files.detectors, when)
    assert data["stats"]["total"] == files.detectors
    assert data["stats"]["categories"] == Counter(map(category, measured.values()))
    shown = {each["segment_id"]: each["current_speed"] for each in data["predictions"]}
    assert shown == {name: pytest.approx(speed, abs=0.00501) for name, speed in measured.items()}
    assert {each["horizon_minutes"] for each in data["predictions"]} == {5}


def test_fitted_forecast_has_the_category_of_its_speed_and_a_score(serve, environ, files):
    when = datetime(2012, 3, 2, 17, 30, tzinfo=ZONE)
    server = serve()
    said = replay(environ, files, when, 3)
    data = newest_of(server, files.detectors, when)
    assert data["stats"]["total"] == files.detectors
    assert data["stats"]["categories"] == Counter(category(each["predicted_speed"]) for each in data["predictions"])
    assert {each["model"] for each in data["predictions"]} == {"least-squares"}
    for minutes in (5, 10, 15):
        assert f"{minutes:3} min" in said
