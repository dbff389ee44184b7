"""What is done to the product, and what must hold afterwards. Each scenario returns its figures, or raises."""

import contextlib
import itertools
import json
import os
import random
import re
import signal
import socket
import subprocess
import time

from tests import hopping
from tests.chaos.attacks import attacks
from tests.chaos.checks import (
    check_breaker,
    check_growth,
    check_informed,
    check_no_false_alarm,
    check_no_more,
    check_read,
    check_said,
    check_stays_away,
    check_streams,
    is_away,
    is_live,
    open_streams,
    pause_for,
    settled,
    spread,
    wait_for_all,
)
from tests.chaos.health import Health, figures
from tests.chaos.hops import Hopping
from tests.chaos.roll import roll
from tests.chaos.soak import soak
from tests.chaos.streams import Events
from tests.chaos.topic_events import topic_events
from tests.chaos.world import ROADS, SAID_WITHIN_SECONDS, Producer, World, belongings
from tests.web.server.test_worker import until

PAUSES = (11, 0, 3)
"""How many seconds a killed broker is away, in turn: longer than it may take to say so, and shorter."""


def kills(count=20, rate=500, clients=50, seed=1):
    """Kill the broker with SIGKILL and start it again, again and again, under load."""
    chance, pauses = random.Random(seed), itertools.cycle(PAUSES)
    # With a buffer that is full before the first kill: its growth would hide any other.
    with World(BUFFER_ENTRIES="5000") as world, contextlib.ExitStack() as stack:
        server = world.serve()
        world.wait_live(server)
        (pid,) = server.workers()
        streams = stack.enter_context(contextlib.closing(open_streams(server, clients)))
        producer = Producer(world.kafka.address, world.topic, rate)
        until(lambda: producer.sent > 6_000, seconds=60)
        before = settled(pid)
        health = stack.enter_context(contextlib.closing(Health(server.port)))
        down, informed, up, memory, live_since = [], [], [], [], time.monotonic()
        for _ in range(count):
            died = time.monotonic()
            world.kafka.kill()
            killed = time.monotonic()
            pause_for(next(pauses))
            revived = time.monotonic()
            world.kafka.start()
            back = time.monotonic()
            check_no_false_alarm(health, live_since, died)
            check_breaker(health, died, revived)
            was_live = all(map(is_live, health.between(0, died)[-1:]))
            if was_live and (said := health.first(died, is_away)) is not None:
                check_stays_away(health, died + said, revived)
            until(lambda back=back: health.first(back, is_live) is not None)
            up.append(check_said(health.first(back, is_live), "the broker is back"))
            # Restarted so fast that it was not missed yet: it may still be, for as long as the promise allows.
            was_missed = (health.first(died, is_away) or float("inf")) < back - died + up[-1]
            live_since = back + (up[-1] if was_missed else SAID_WITHIN_SECONDS)
            # Not until `back`: a broker that starts slowly answers the consumer before it answers here.
            if revived - died > SAID_WITHIN_SECONDS:
                down.append(check_said(health.first(died, is_away), "the broker is away"))
                informed.append(check_informed(streams.streams, killed, producer, health))
            pause_for(chance.uniform(1, 4))
            memory.append(belongings(pid)["rss_mb"])
        producer.close()
        log = world.log()
        wait_for_all(streams.streams, log)
        check_streams(streams.streams, log, producer.acknowledged)
        messages = sum(map(len, log.values()))
        check_read(health, world.ends(), records=messages)
        after = belongings(pid)
        check_no_more(before, after)
        return {
            "kills": count,
            "streams": clients,
            "messages": messages,
            "acknowledged": len(producer.acknowledged),
            "events_delivered": sum(stream.count for stream in streams.streams),
            "lost": 0,
            "doubled": 0,
            "seconds_until_away_is_said": spread(down),
            "seconds_until_the_last_stream_was_informed": spread(informed),
            "seconds_until_live_again": spread(up),
            "health": figures(health),
            "before": before,
            "after": after,
            "rss_growth_mb_from_the_first_third_of_kills_to_the_last": check_growth(memory),
            "rss_mb_after_each_kill": ", ".join(map(str, memory)),
        }


def pause(seconds=60, rate=200, clients=20):
    """Stop the broker with SIGSTOP: connections stay, nothing answers."""
    with World() as world, contextlib.ExitStack() as stack:
        server = world.serve()
        world.wait_live(server)
        streams = stack.enter_context(contextlib.closing(open_streams(server, clients)))
        producer = Producer(world.kafka.address, world.topic, rate)
        health = stack.enter_context(contextlib.closing(Health(server.port)))
        pause_for(3)
        world.kafka.pause()
        stopped = time.monotonic()
        pause_for(seconds)
        world.kafka.resume()
        back = time.monotonic()
        until(lambda: health.first(back, is_live) is not None)
        pause_for(2)
        check_no_false_alarm(health, back + health.first(back, is_live), time.monotonic())
        producer.close()
        log = world.log()
        wait_for_all(streams.streams, log)
        check_streams(streams.streams, log, producer.acknowledged)
        messages = sum(map(len, log.values()))
        check_read(health, world.ends(), records=messages)
        said = health.first(stopped, is_away)
        informed = check_informed(streams.streams, stopped, producer, health)
        away = check_said(said, "the broker is away")
        check_stays_away(health, stopped + said, back)
        check_breaker(health, stopped, back)
        return {
            "seconds_stopped": seconds,
            "seconds_until_away_is_said": away,
            "seconds_until_the_last_stream_was_informed": informed,
            "seconds_until_live_again": check_said(health.first(back, is_live), "the broker is back"),
            "messages": messages,
            "health": figures(health),
        }


def absent(seconds=60, messages=500):
    """Start the server first, the broker later, and the topic later still."""
    with World(start_broker=False) as world, contextlib.ExitStack() as stack:
        begin = time.monotonic()
        server = world.serve()
        health = stack.enter_context(contextlib.closing(Health(server.port)))
        pause_for(seconds)
        check_breaker(health, begin, time.monotonic())
        state = health.answers[-1].state
        world.kafka.start()
        pause_for(3)
        waiting = json.loads(server.get("/readyz"))
        assert "does not exist" in waiting["reason"], waiting
        check_stays_away(health, begin, time.monotonic())
        world.create_topic()
        created = time.monotonic()
        until(lambda: health.first(created, is_live) is not None)
        with contextlib.closing(Producer(world.kafka.address, world.topic, messages, most=messages)) as producer:
            until(producer.is_done)
        check_read(health, world.ends(), records=messages)
        return {
            "seconds_without_a_broker": seconds,
            "state_then": state,
            "said_without_the_topic": waiting["reason"],
            "seconds_from_topic_to_live": check_said(health.first(created, is_live), "the topic is there"),
            "messages": messages,
            "health": figures(health),
        }


def shutdown(streams=500, signals=("SIGTERM", "SIGINT")):
    """End the server with many streams open."""
    figures = {}
    for name in signals:
        with World() as world:
            server = world.serve()
            world.wait_live(server)
            everyone = open_streams(server, streams)
            begin = time.monotonic()
            os.kill(server.process.pid, getattr(signal, name))
            server.process.wait(60)
            took = time.monotonic() - begin
            until(lambda everyone=everyone: all(stream.ended for stream in everyone.streams))
            everyone.close()
            byes = sum(bool(stream.of_type("bye")) for stream in everyone.streams)
            retries = {match for stream in everyone.streams for match in re.findall(rb"retry: (\d+)", stream.tail)[-1:]}
            assert byes == streams, f"{byes} of {streams} got bye"
            figures[name] = {
                "streams": streams,
                "gone_after_seconds": round(took, 2),
                "different_retries": len(retries),
            }
    return figures


def worker_killed(clients=20):
    """Kill a worker with SIGKILL, then reload: clients come back with their cursor and lose nothing."""
    with World() as world:
        server = world.serve()
        world.wait_live(server)
        cursor = json.loads(server.get("/api/predictions"))["data"]["cursor"]
        producer = Producer(world.kafka.address, world.topic, 300)
        everyone = [Returning([server.port], cursor, ["sse"], 10**9, seed) for seed in range(clients)]
        for client in everyone:
            client.start()
        pause_for(3)
        (pid,) = server.workers()
        os.kill(pid, signal.SIGKILL)
        pause_for(5)
        os.kill(server.process.pid, signal.SIGHUP)
        pause_for(5)
        producer.close()
        log = world.log()
        counts = [len(log[number]) for number in range(len(log))]
        for client in everyone:
            client.end, client.cuts = counts, 0
        for client in everyone:
            client.join(60)
        hopping.verify(everyone, counts)
        broken = sum(client.broken for client in everyone)
        return {"clients": clients, "messages": sum(counts), "connections_refused": broken, "lost": 0}


class Returning(hopping.Client):
    """A client that comes back after its connection broke, as a browser does."""

    broken = 0

    def _sse(self, port, budget):
        try:
            super()._sse(port, budget)
        except OSError:
            self.broken += 1
            pause_for(0.2)


def hop(clients=150, cuts=200, rate=1_000, seconds=20):
    """Let clients of all transports hop with one cursor between three processes.

    One has TLS, the others are behind nginx if it is there. Each client gets everything, so the messages come for
    `seconds` alone: no more can be read here by so many.
    """
    with Hopping(clients) as run:
        run.start(cuts, rate)
        pause_for(seconds)
        return run.finish()


def hop_filtered(clients=150, cuts=200, rate=1_000):
    """Let them hop for as long as it takes under the whole load, each with one of twenty filters."""
    with Hopping(clients) as run:
        run.start(cuts, rate, ROADS)
        polls = [
            run.enter_context(contextlib.closing(Health(server.port))) for server in run.servers if not server.context
        ]
        begin = time.monotonic()
        until(run.all_are_cut, seconds=1200)
        done = run.finish()
        for health in polls:
            check_no_false_alarm(health, begin, time.monotonic())
            check_read(health, run.world.ends(), records=done["messages"])
        return {"filters": ROADS, **done, "health": figures(*polls)}


def away(messages=100_000, rate=100, clients=10, seconds=15):
    """Let a client be away while far more passes than memory holds, and see what its return costs the others."""
    with World(BUFFER_ENTRIES="5000") as world, contextlib.ExitStack() as stack:
        server = world.serve()
        world.wait_live(server)
        (pid,) = server.workers()
        cursor = json.loads(server.get("/api/predictions"))["data"]["cursor"]
        passing = Producer(world.kafka.address, world.topic, 20_000)
        until(lambda: passing.sent >= messages, seconds=120)
        passing.close()
        counts = [len(numbers) for _, numbers in sorted(world.log().items())]
        until(
            lambda: all(
                each["lag"] == 0 for each in json.loads(server.get("/api/health"))["data"]["consumer"]["partitions"]
            ),
            seconds=60,
        )
        streams = stack.enter_context(contextlib.closing(open_streams(server, clients)))
        health = stack.enter_context(contextlib.closing(Health(server.port)))
        producer = Producer(world.kafka.address, world.topic, rate, counts)
        pause_for(2)
        begin = time.monotonic()
        pause_for(seconds)
        before, left = belongings(pid), time.monotonic()
        returned = stack.enter_context(Returned(server.port, cursor, world.folder / "returned"))
        peak = returned.until_it_has(messages, pid)
        back = time.monotonic()
        pause_for(1)
        producer.close()
        log = world.log()
        wanted = {partition: numbers for partition, numbers in log.items() if numbers}
        until(lambda: returned.seen() == wanted, seconds=120, every=1)
        check_no_false_alarm(health, begin, time.monotonic())
        check_read(health, world.ends(), records=sum(map(len, log.values())))
        quiet, busy = latencies(streams, producer, begin, left), latencies(streams, producer, left, back)
        return {
            "messages_missed": messages,
            "seconds_until_it_had_them": round(back - left, 1),
            "lost": 0,
            "doubled": 0,
            "live_ms_before": quiet,
            "live_ms_during": busy,
            "live_p99_ratio": round(busy["p99"] / quiet["p99"], 2),
            "rss_mb_before": before["rss_mb"],
            "rss_mb_peak": peak,
            "health": figures(health),
        }


def stalled(each=15, rate=1_000, clients=10, seconds=10):
    """Let clients ask on every transport and then read nothing, under load, and see what that costs the others."""
    with World(BUFFER_ENTRIES="5000", CLIENT_TIMEOUT="5") as world, contextlib.ExitStack() as stack:
        server = world.serve()
        world.wait_live(server)
        (pid,) = server.workers()
        streams = stack.enter_context(contextlib.closing(open_streams(server, clients)))
        producer = Producer(world.kafka.address, world.topic, rate)
        until(lambda: producer.sent > 6_000, seconds=60)  # from here on the buffer is full
        health = stack.enter_context(contextlib.closing(Health(server.port)))
        begin = time.monotonic()
        pause_for(seconds)
        before, left = belongings(pid), time.monotonic()
        stuck = [stack.enter_context(stall(server.port, request)) for request in STALLED.values() for _ in range(each)]
        peak = before["rss_mb"]

        def all_are_gone():
            nonlocal peak
            now = belongings(pid)
            peak = max(peak, now["rss_mb"])
            held = json.loads(server.get("/api/health"))["data"]["clients"]
            is_free = held == {"sse": clients} and now["descriptors"] <= before["descriptors"] + 2
            return is_free and time.monotonic() - left > seconds

        until(all_are_gone, seconds=90, every=0.2)
        freed = time.monotonic()
        pause_for(2)
        producer.close()
        log = world.log()
        wait_for_all(streams.streams, log)
        check_streams(streams.streams, log, producer.acknowledged)
        check_no_false_alarm(health, begin, time.monotonic())
        check_read(health, world.ends(), records=sum(map(len, log.values())))
        after = belongings(pid)
        assert peak - before["rss_mb"] < STALLED_MB, f"{before['rss_mb']} MB became {peak} MB"
        asked = left + ASKED_SECONDS
        quiet, busy = latencies(streams, producer, begin, left), latencies(streams, producer, asked, freed)
        return {
            "stalled_of_each": list(STALLED),
            "stalled": len(stuck),
            "seconds_until_all_were_closed": round(freed - left, 1),
            "closed_since_they_read_nothing": counted(server),
            "live_ms_before": quiet,
            "live_ms_while_all_ask": latencies(streams, producer, left, asked),
            "live_ms_during": busy,
            "live_p99_ratio": round(busy["p99"] / quiet["p99"], 2),
            "lost_by_others": 0,
            "rss_mb_peak": peak,
            "health": figures(health),
            "before": before,
            "after": after,
        }


ASKED_SECONDS = 2.0
"""How long it takes to answer so many at once, until nothing fits any more into their sockets."""
STALLED_MB = 40
"""What clients that read nothing may cost together: what is on its way to each, and no more."""
STALLED = {
    "stream": b"GET /predictions/stream HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "websocket": b"GET /predictions/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    "history": b"GET /api/predictions/history HTTP/1.1\r\nHost: localhost\r\nAccept: application/x-ndjson\r\n\r\n",
    "poll": b"GET /api/predictions HTTP/1.1\r\nHost: localhost\r\n\r\n" * 40,
}


def stall(port, request):
    """Ask, and return the socket with nothing read; little fits into it."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", port))
    sock.sendall(request)
    return sock


def counted(server):
    """Return how many clients were closed since they read nothing, by transport."""
    found = re.findall(rb'greenwave_clients_stalled_total\{.*transport="(\w+)"\} (\d+)', server.get("/metrics"))
    return {transport.decode(): int(count) for transport, count in found if int(count)}


class Returned:
    """A client that comes back, as a process of its own: what it reads must not slow what is measured here."""

    def __init__(self, port, cursor, path):
        self.path = path
        url = f"http://127.0.0.1:{port}/predictions/stream"
        with path.open("wb") as output:
            self._curl = subprocess.Popen(["curl", "-sN", "-H", f"Last-Event-ID: {cursor}", url], stdout=output)
        self._counted, self._offset = 0, 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._curl.kill()
        self._curl.wait()

    def until_it_has(self, count, pid, seconds=120):
        """Wait for so many events; return the peak memory of the process during the wait, in MB."""
        peak, deadline = 0, time.monotonic() + seconds
        while self._count() < count:
            assert time.monotonic() < deadline, f"{self._counted} of {count} events came in {seconds} s"
            peak = max(peak, belongings(pid)["rss_mb"])
            pause_for(0.2)
        return peak

    def _count(self):
        with self.path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        self._counted += whole.count(b'"type":"prediction"')
        return self._counted

    def seen(self):
        """Return the numbers of each partition in the order they came, without those of the view after the replay."""
        events = Events()
        events.feed(self.path.read_bytes(), time.monotonic())
        return events.seen


def latencies(streams, producer, begin, end):
    """Return how long messages sent between two times took from the producer to each stream, in milliseconds."""
    found = sorted(
        (at - sent) * 1000
        for stream in streams.streams
        for at, name in stream.arrived
        if begin <= (sent := producer.sent_at.get(name, 0)) < end
    )
    at = {"p50": 0.5, "p99": 0.99}
    return {name: round(found[int(len(found) * share)], 1) for name, share in at.items()} | {"of": len(found)}


ALL = {
    scenario.__name__: scenario
    for scenario in (
        kills,
        pause,
        absent,
        topic_events,
        shutdown,
        worker_killed,
        roll,
        hop,
        hop_filtered,
        away,
        stalled,
        attacks,
        soak,
    )
}
