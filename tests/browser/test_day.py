"""A day of recorded speeds on the page, compared with the recording: replay command, broker, gunicorn, Chromium.

The day is 2012-03-07, whose evening is the busiest of the week of METR-LA. Where that is not available (see
`tests.metr_la`), three generated days of the same shape replace it. With --full-length the whole day is replayed at 300
times its speed, which is one second per step, and each step is compared while it is shown. A stall of the machine can
spoil a step, so a few may be. Without the option two short ranges are replayed at full speed. Each step of an hour of
the evening is compared in time travel, which waits for it.

The expected values come from the recording: forecasts of the replay's own forecaster, and categories and errors by the
rules of this module.
"""

import csv
import gzip
import math
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Page, expect

from demo.broker import EmbeddedBroker
from demo.forecast import Forecaster
from demo.series import Recording, read
from demo.usual import days_of
from tests import metr_la
from tests.browser.conftest import Figures
from tests.browser.look import LIVE, counts, expect_pill, part
from tests.browser.test_real_server import ROOT, RealServer, broker, real_server
from tests.browser.test_time import travel_to
from tests.browser.watched import Watched

__all__ = ["broker", "real_server"]

ZONE = ZoneInfo("America/Los_Angeles")
STEP = timedelta(minutes=5)
SEGMENTS = 207
STEPS_A_DAY = 288
DAY = datetime(2012, 3, 7, tzinfo=ZONE)
MADE_UP_DAYS = 3
"""The last one is DAY, and its forecasts are fitted to the others. More take long to fit."""
NIGHT, EVENING = DAY.replace(hour=3), DAY.replace(hour=17, minute=30)
HORIZONS = {5: 1, 10: 2, 15: 3}  # minutes: steps
# Enough for time travel to the evening at the end of the day.
ENOUGH_MEMORY = {"BUFFER_ENTRIES": "60000", "BUFFER_BYTES": "268435456"}
MOST_SPOILT = 0.05
# The server rounds to two decimals, the page to one.
ROUNDED = 0.0551

RECORD_STEPS = r"""() => {
  window.steps = {};
  const text = (part) => document.querySelector(`[data-part=${part}]`).textContent;
  const chips = () => [...document.querySelectorAll("button.chip")].map((chip) =>
    [chip.dataset.group, Number(chip.querySelector("[data-part=count]").textContent)]);
  const look = () => {
    const step = /^Replay of (.*) \S+$/.exec(text("replayText"))?.[1];
    if (step) window.steps[step] = Object.fromEntries(chips());
    requestAnimationFrame(look);
  };
  look();
}"""

ALL_ROWS = """async (scroller) => {
  const found = new Set();
  const frame = () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
  for (let top = 0; top < scroller.scrollHeight; top += scroller.clientHeight / 2) {
    scroller.scrollTop = top;
    await frame();
    for (const row of scroller.querySelectorAll("tr[data-segment]")) found.add(row.dataset.segment);
  }
  return [...found];
}"""


class Part(NamedTuple):
    """A replayed range of steps, `begin` and `end` included."""

    begin: datetime
    end: datetime

    @property
    def steps(self) -> list[datetime]:
        return [self.begin + number * STEP for number in range((self.end - self.begin) // STEP + 1)]


WHOLE_DAY = [Part(DAY, DAY + (STEPS_A_DAY - 1) * STEP)]
SHORT = [Part(NIGHT - 6 * STEP, NIGHT), Part(EVENING - 12 * STEP, EVENING)]


class Week:
    """The recording from a day on, and the forecasts from it."""

    def __init__(self, begin: datetime, speeds: Path, sensors: Path) -> None:
        self.begin = begin
        self.files = [str(speeds), "--sensors", str(sensors)]
        self._recording: Recording = read(speeds, sensors)
        days = days_of(begin, self._recording.rows, int(STEP.total_seconds()))
        self._forecaster = Forecaster(self._recording, days, int(STEP.total_seconds()), list(HORIZONS.values()))

    @property
    def segments(self) -> set[str]:
        """The detectors' names."""
        return {each.sensor_id for each in self._recording.sensors}

    def measured(self, at: datetime) -> list[float]:
        """Return what was measured at a step, as it is published."""
        return [round(column[(at - self.begin) // STEP], 2) for column in self._recording.columns]

    def forecast(self, at: datetime) -> list[list[float]]:
        """Return what is forecast at a step: per detector, a speed per horizon."""
        return [[round(speed, 2) for speed in each] for each in self._forecaster.forecast((at - self.begin) // STEP)]

    def counts(self, at: datetime) -> dict[str, int]:
        """Return how many forecasts of the nearest horizon are in each category, as the chips have them."""
        found = Counter(category(speeds[0]) for speeds in self.forecast(at))
        return {name: found[name] for name in (*BOUNDS, "severe_congestion", "not_current")}


BOUNDS = {"free_flow": 60, "moderate_traffic": 45, "heavy_traffic": 30}


def category(mph: float) -> str:
    return next((name for name, bound in BOUNDS.items() if mph >= bound), "severe_congestion")


class Errors:
    """The errors of forecasts, and of the no-change forecast."""

    def __init__(self) -> None:
        self.own: list[float] = []
        self.no_change: list[float] = []

    def shown(self) -> list[float]:
        """Return the cells of the table: RMSE, MAE, bias, RMSE of persistence, count."""
        count = len(self.own)
        return [rms(self.own), sum(map(abs, self.own)) / count, sum(self.own) / count, rms(self.no_change), count]


def rms(errors: list[float]) -> float:
    return math.sqrt(sum(error * error for error in errors) / len(errors))


def scores(week: Week, replayed: Iterable[Part]) -> list[list[float]]:
    """Return the table of scores of all forecasts with a measured target time: a row per horizon, then the total."""
    errors = {minutes: Errors() for minutes in HORIZONS}
    for each in replayed:
        measured = {at: week.measured(at) for at in each.steps}
        for at in each.steps:
            for index, (minutes, steps) in enumerate(HORIZONS.items()):
                actual = measured.get(at + steps * STEP, [])
                for forecast, now, then in zip(week.forecast(at), measured[at], actual, strict=False):
                    errors[minutes].own.append(forecast[index] - then)
                    errors[minutes].no_change.append(now - then)
    together = Errors()
    for each_horizon in errors.values():
        together.own += each_horizon.own
        together.no_change += each_horizon.no_change
    return [each.shown() for each in (*errors.values(), together)]


def make_up(folder: Path) -> tuple[Path, Path]:
    """Write days of 207 detectors whose speeds drop in the evening."""
    chance, speeds, sensors = random.Random(7), folder / "speeds.csv.gz", folder / "sensors.csv"
    names = [str(700_000 + number) for number in range(SEGMENTS)]
    depths = [chance.uniform(0, 50) for _ in names]
    with gzip.open(speeds, "wt", newline="", compresslevel=1) as file:
        writer = csv.writer(file)
        writer.writerow(names)
        for row in range(MADE_UP_DAYS * STEPS_A_DAY):
            dip = math.exp(-(((row % STEPS_A_DAY - 12 * 17.5) / 18) ** 2))
            writer.writerow([round(66 - depth * dip + chance.gauss(0, 3), 3) for depth in depths])
    with sensors.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("sensor_id", "latitude", "longitude", "freeway", "direction"))
        writer.writerows((name, 34 + int(name) % 100 / 500, -118.2, "US101", "N") for name in names)
    return speeds, sensors


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Week]:
    """Yield the week that is replayed."""
    if metr_la.FOLDER:
        begin = datetime(2012, 3, 1, tzinfo=ZONE)
        yield Week(begin, metr_la.FOLDER / "speeds.csv.gz", metr_la.FOLDER / "sensors.csv")
    else:
        begin = DAY - timedelta(days=MADE_UP_DAYS - 1)
        yield Week(begin, *make_up(tmp_path_factory.mktemp("week")))


def replay(brokers: str, week: Week, what: Part, speed: str) -> None:
    """Run the replay command."""
    command = [sys.executable, "-m", "flask", "--app", "app", "replay", *week.files, "--zone", str(ZONE)]
    command += ["--start", f"{week.begin:%Y-%m-%dT%H:%M}", "--step", "300", "--speed", speed]
    command += ["--from", f"{what.begin:%Y-%m-%dT%H:%M}", "--limit", str(len(what.steps))]
    environ = os.environ | {"KAFKA_BROKERS": brokers}
    done = subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stderr


def step_text(at: datetime) -> str:
    """Return a step as the page formats it."""
    return f"{at.day} {at:%b %Y, %H:%M}"


def wait_for_step(page: Page, at: datetime, wanted: dict[str, int]) -> None:
    """Wait until the page has shown these counts last for a step."""
    script = """([step, wanted]) => {
      const shown = window.steps[step];
      return shown && Object.keys(wanted).every((group) => shown[group] === wanted[group]);
    }"""
    page.wait_for_function(script, arg=[step_text(at), wanted])


def score_rows(page: Page) -> list[list[float]]:
    """Return the numbers in the page's table of scores, which has no column of usual speeds without a file of them."""
    rows = part(page, "scoreRows").locator("tr").all()
    cells = [[cell.inner_text() for cell in row.locator("td:not([hidden])").all()] for row in rows]
    return [[float(text.replace("\N{MINUS SIGN}", "-").replace(",", "")) for text in row] for row in cells]


def expect_scores(page: Page, wanted: list[list[float]]) -> None:
    """Wait until all forecasts are checked, and compare all figures."""
    expect(part(page, "checked")).to_have_text(f"{wanted[-1][-1]:,}")
    assert part(page, "scoreRows").locator("th").all_inner_texts() == ["5 min", "10 min", "15 min", "All"]
    shown = score_rows(page)
    assert shown == [[*(pytest.approx(mean, abs=ROUNDED) for mean in means), count] for *means, count in wanted]
    for name, index in (("error", 0), ("noChange", 3)):
        assert part(page, name).inner_text() == f"{shown[-1][index]:.1f} mph"


def congested(chips: dict[str, int]) -> int:
    return chips["heavy_traffic"] + chips["severe_congestion"]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("real_server", [ENOUGH_MEMORY], indirect=True)
def test_a_replayed_day_matches_its_file(
    request: pytest.FixtureRequest,
    broker: EmbeddedBroker,
    real_server: RealServer,
    watched: Watched,
    week: Week,
    figures: Figures,
) -> None:
    in_full = request.config.getoption("--full-length")
    parts, speed = (WHOLE_DAY, "300") if in_full else (SHORT, "max")
    page = watched.open(real_server.url, timezone_id=str(ZONE))
    expect_pill(page, LIVE)
    page.evaluate(RECORD_STEPS)
    for each in parts:
        replay(broker.address, week, each, speed)
        wait_for_step(page, each.end, week.counts(each.end))

    expect(part(page, "reporting")).to_have_text(str(SEGMENTS))
    expect(part(page, "map")).to_have_attribute("data-markers", str(SEGMENTS))
    assert set(part(page, "scroller").evaluate(ALL_ROWS)) == week.segments
    expect_scores(page, scores(week, parts))

    shown = page.evaluate("window.steps")
    spoilt: list[str] = []
    if in_full:
        wanted = {step_text(at): week.counts(at) for at in WHOLE_DAY[0].steps}
        spoilt = [step for step, counted in wanted.items() if shown.get(step) != counted]
        assert len(spoilt) <= MOST_SPOILT * len(wanted), spoilt
    evening = [
        shown[step_text(at)] for at in (EVENING - 6 * STEP, EVENING, EVENING + 6 * STEP) if step_text(at) in shown
    ]
    assert min(map(congested, evening)) > 2 * congested(shown[step_text(NIGHT)])
    expect(part(page, "notice")).to_be_hidden()
    part(page, "travel").click()
    expect(part(page, "slider")).to_be_visible()
    for at in Part(EVENING - 11 * STEP, EVENING).steps:
        travel_to(page, round(at.timestamp() * 1000))
        expect(part(page, "pillText")).to_have_text(f"History · {at:%H:%M}")
        assert counts(page) == week.counts(at)

    figures[f"{'METR-LA' if metr_la.FOLDER else 'made-up'}, {len(shown)} steps of a day on the page"] = (
        f"{congested(shown[step_text(NIGHT)])} of {SEGMENTS} heavy or severe at 03:00, "
        f"{congested(shown[step_text(EVENING)])} at 17:30; {len(spoilt)} spoilt by stalls; scores {score_rows(page)}"
    )
