"""Thousands of predictions a second: none is lost and memory stays flat; five minutes with --full-length.

Frame rates and task lengths are measured by the wall clock, so they need a machine without other load: the browser,
which draws without a graphics card, and the server share its cores. They have bounds with
--full-length alone (`make test-long`), which also prints them.
"""

import math
import threading
import time
from bisect import bisect_left
from collections.abc import Iterator
from itertools import pairwise
from statistics import mean, median
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import CDPSession, Page, expect

from tests.browser.conftest import Figures
from tests.browser.flood import Flood
from tests.browser.look import LIVE, expect_pill, expect_received, part
from tests.browser.watched import Watched

WARM_UP_SECONDS = 3
SHORT_SECONDS, MIDDLE_SECONDS, LONG_SECONDS = 15, 30, 300
"""How long it is watched: in each run; with --full-length with few segments, and with many."""
FEWEST_PROBES = 6
PROBE_SECONDS = 15
TRACE_SECONDS = 10
HALF = 500
MEGABYTE = 1e6
LONGEST_TASK = 100
# Of the wanted frames; some are lost when the machine is busy.
FRAMES_SHARE = 0.8
MOST_BUSY = 0.65
MOST_GROWTH = 10

WATCH_FRAMES = """() => {
  window.watch = { since: performance.now(), frames: [], tasks: [], collected: [] };
  const next = (now) => {
    window.watch.frames.push(now);
    requestAnimationFrame(next);
  };
  requestAnimationFrame(next);
  new PerformanceObserver((list) =>
    window.watch.tasks.push(...list.getEntries().map(({ startTime, duration }) => [startTime, duration])))
    .observe({ type: "longtask" });
}"""


class Load(NamedTuple):
    """Segments, new predictions of each per second, the wanted frames per second, and the longest task in ms."""

    segments: int
    per_second: float
    frames: int
    longest: int = 100

    @property
    def name(self) -> str:
        return f"{self.segments:,} segments, {self.per_second:g} updates of each per second"


@pytest.fixture
def load(request: pytest.FixtureRequest) -> Load:
    found: Load = request.param
    return found


@pytest.fixture
def flood(load: Load) -> Iterator[Flood]:
    """Yield the server that sends the load."""
    server = Flood(load.segments, load.per_second)
    server.start()
    yield server
    server.stop()


class Seen(NamedTuple):
    """What was measured: milliseconds from frame to frame and of tasks over 50 ms, and the heap at times, in MB.

    `rates` are frames per second, of each half second; `busy` is the share of its time that the page's main thread ran.
    """

    frames: list[float]
    rates: list[float]
    tasks: list[float]
    heap: list[float]
    busy: float

    @property
    def growth(self) -> float:
        """How much larger the heap is in the last third than in the first."""
        third = len(self.heap) // 3
        return mean(self.heap[-third:]) - mean(self.heap[:third])


def metrics(session: CDPSession) -> dict[str, float]:
    """Return the browser's metrics of a page, by name; times are CPU time in seconds."""
    return {each["name"]: float(each["value"]) for each in session.send("Performance.getMetrics")["metrics"]}


def heap_used(session: CDPSession) -> float:
    """Return the size of reachable memory in MB."""
    session.send("HeapProfiler.collectGarbage")
    return metrics(session)["JSHeapUsedSize"] / MEGABYTE


def watch(page: Page, seconds: float) -> Seen:
    """Measure a page for some time, without the garbage collections that it requests itself."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.wait_for_timeout(WARM_UP_SECONDS * 1000)
    page.evaluate(WATCH_FRAMES)
    heap: list[float] = []
    ours: list[tuple[float, float]] = []
    busy: list[float] = []
    begin = time.monotonic()
    probes = max(FEWEST_PROBES, round(seconds / PROBE_SECONDS))
    for probe in range(probes):
        ran, at = metrics(session)["TaskDuration"], time.monotonic()
        page.wait_for_timeout(max(0.0, begin + (probe + 1) * seconds / probes - time.monotonic()) * 1000)
        busy.append((metrics(session)["TaskDuration"] - ran) / (time.monotonic() - at))
        before = page.evaluate("performance.now()")
        heap.append(heap_used(session))
        ours.append((before, page.evaluate("performance.now()")))
    session.detach()
    return sort_out(page.evaluate("window.watch"), ours, heap, median(busy))


def longest_task(page: Page, seconds: float) -> float:
    """Return the longest task of a page's main thread during some time, in milliseconds of processor time.

    In wall time a task takes longer when other processes run.
    """
    browser = page.context.browser
    assert browser
    session = browser.new_browser_cdp_session()
    events: list[dict[str, Any]] = []
    over = threading.Event()
    session.on("Tracing.dataCollected", lambda data: events.extend(data["value"]))
    session.on("Tracing.tracingComplete", lambda _: over.set())
    session.send("Tracing.start", {"traceConfig": {"includedCategories": ["toplevel"]}, "transferMode": "ReportEvents"})
    page.wait_for_timeout(seconds * 1000)
    session.send("Tracing.end")
    while not over.is_set():
        page.wait_for_timeout(50)
    session.detach()
    threads = {(each["pid"], each["tid"]): each["args"].get("name") for each in events if each["name"] == "thread_name"}
    ours = [each for each in events if threads.get((each["pid"], each["tid"])) == "CrRendererMain"]
    return float(max(each["tdur"] for each in ours if "tdur" in each)) / 1000


def sort_out(watched: dict[str, Any], ours: list[tuple[float, float]], heap: list[float], busy: float) -> Seen:
    """Remove frames and tasks that overlap with the measurement itself."""

    def is_ours(begin: float, end: float) -> bool:
        return any(begin <= last and end >= first for first, last in ours)

    at = watched["frames"]
    frames = [end - begin for begin, end in pairwise(at) if not is_ours(begin, end)]
    tasks = [duration for begin, duration in watched["tasks"] if not is_ours(begin, begin + duration)]
    halves = [begin for begin in range(math.ceil(at[0]), int(at[-1]) - HALF, HALF) if not is_ours(begin, begin + HALF)]
    rates = [(bisect_left(at, begin + HALF) - bisect_left(at, begin)) * 1000 / HALF for begin in halves]
    return Seen(frames, rates, tasks, heap, busy)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "load",
    [Load(207, 10, 55), Load(2_000, 5, 50), Load(5_000, 1, 50, longest=50)],
    indirect=True,
    ids=lambda load: load.name,
)
def test_memory_and_frame_rate_are_stable_under_load(
    request: pytest.FixtureRequest, load: Load, flood: Flood, watched: Watched, figures: Figures
) -> None:
    in_full = request.config.getoption("--full-length")
    page = watched.open(f"{flood.url}/predictions?sort=predicted")
    expect_pill(page, LIVE)
    expect(part(page, "total")).to_have_text(f"of {load.segments:,} reporting")
    began = time.monotonic()
    flood.begin()
    at_length = LONG_SECONDS if load.segments == 2_000 else MIDDLE_SECONDS
    seen = watch(page, at_length if in_full else SHORT_SECONDS)
    longest = longest_task(page, TRACE_SECONDS) if in_full else 0.0
    took = time.monotonic() - began
    flood.end()
    expect_received(page, flood.sent)
    figures[load.name] = (
        f"{flood.sent / took:,.0f} predictions/s for {took:.0f} s; median {median(seen.rates):.0f} frames/s, "
        f"{median(seen.frames):.1f} ms a frame; {len(seen.tasks)} tasks over 50 ms, longest "
        f"{max(seen.tasks, default=0):.0f} ms; main thread busy {seen.busy:.0%}; "
        f"heap {seen.heap[0]:.1f} to {seen.heap[-1]:.1f} MB, growth {seen.growth:+.1f} MB"
    )
    assert seen.growth < MOST_GROWTH
    if not in_full:
        return
    figures[load.name] += f"; longest task by processor time {longest:.0f} ms"
    assert flood.sent > 0.9 * load.segments * load.per_second * took
    assert seen.busy < MOST_BUSY
    assert longest <= load.longest
    assert max(seen.tasks, default=0) < 5 * LONGEST_TASK
    assert median(seen.rates) >= FRAMES_SHARE * load.frames
