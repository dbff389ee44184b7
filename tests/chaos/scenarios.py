"""What is done to the product, and what must hold afterwards. Each scenario returns its figures, or raises."""

import contextlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import threading
import time

from tests import hopping
from tests.web.test_worker import until

from . import proxy
from .streams import Stream, Streams
from .world import TOLD_WITHIN_SECONDS, Health, Producer, World, belongings


def pause_for(seconds):
    """Let time pass; what happens meanwhile is the scenario."""
    threading.Event().wait(seconds)


def wait_for_all(streams, log, seconds=120):
    """Wait until every stream has as many events as the log."""
    total = sum(map(len, log.values()))
    until(lambda: all(stream.count >= total for stream in streams), seconds=seconds, every=0.2)


def check_streams(streams, log, acknowledged):
    """Each stream has exactly the log, in order per partition; what was acknowledged is in it."""
    for stream in streams:
        assert not stream.of_type("gap"), stream.of_type("gap")
        for partition, numbers in log.items():
            assert stream.seen.get(partition, []) == numbers, f"a stream differs from the log in partition {partition}"
    written = {(partition, number) for partition, numbers in log.items() for number in numbers}
    lost = acknowledged - written
    assert not lost, f"{len(lost)} acknowledged messages are not in the log"


def check_told(delay, what):
    """Assert that something was said in time."""
    assert delay is not None, f"it was never said that {what}"
    assert delay <= TOLD_WITHIN_SECONDS, f"it took {delay:.1f} s to say that {what}"
    return round(delay, 2)


def is_away(state, ready):
    """Tell whether an answer says that the broker is away."""
    return state != "live" and not ready


def is_live(state, ready):
    """Tell whether an answer says that all is well."""
    return state == "live" and ready


def check_no_false_alarm(health, begin, end):
    """Assert that it was said to be live all the time between two times, in which it was."""
    wrong = [(at - begin, state) for at, _, state, ready in health.answers if begin <= at < end and not ready]
    assert not wrong, f"the broker was there, and it was said {wrong[:5]}"


def told_in_streams(streams, after, states):
    """Return the longest time until a stream was told one of the states."""
    delays = []
    for stream in streams:
        times = [at - after for at, message in stream.of_type("status") if at > after and message["state"] in states]
        delays.append(min(times, default=float("inf")))
    return max(delays)


def open_streams(world, server, count):
    """Open streams and wait until each has been given its view."""
    streams = Streams(server.port, count)
    until(lambda: all(stream.has_view for stream in streams.streams), seconds=30)
    return streams


def kills(count=20, rate=500, clients=50, seed=1):
    """Kill the broker with SIGKILL and start it again, again and again, under load."""
    chance = random.Random(seed)
    # With a buffer that is full before the first kill: its growth would hide any other.
    with World(BUFFER_ENTRIES="5000") as world, contextlib.ExitStack() as stack:
        server = world.serve()
        world.wait_live(server)
        (pid,) = server.workers()
        streams = stack.enter_context(contextlib.closing(open_streams(world, server, clients)))
        producer = Producer(world.kafka.address, world.topic, rate)
        until(lambda: producer.sent > 6_000, seconds=60)
        before = belongings(pid)
        health = Health(server.port)
        down, up, memory, live_since = [], [], [], time.monotonic()
        for _ in range(count):
            died = time.monotonic()
            check_no_false_alarm(health, live_since, died)
            world.kafka.kill()
            pause_for(chance.choice([0, 3, 11]))
            world.kafka.start()
            back = time.monotonic()
            until(lambda back=back: health.first(back, is_live) is not None, seconds=30)
            up.append(check_told(health.first(back, is_live), "the broker is back"))
            # Restarted so fast that it was not missed yet: it may still be, for as long as the promise allows.
            was_missed = (health.first(died, is_away) or float("inf")) < back - died + up[-1]
            live_since = back + (up[-1] if was_missed else TOLD_WITHIN_SECONDS)
            if back - died > TOLD_WITHIN_SECONDS:
                down.append(check_told(health.first(died, is_away), "the broker is away"))
                assert told_in_streams(streams.streams, died, {"reconnecting", "circuit_open"}) <= TOLD_WITHIN_SECONDS
            pause_for(chance.uniform(1, 4))
            memory.append(belongings(pid)["rss_mb"])
        producer.close()
        log = world.log()
        wait_for_all(streams.streams, log)
        health.close()
        check_streams(streams.streams, log, producer.acknowledged)
        after = belongings(pid)
        assert after["threads"] <= before["threads"] + 2, (before, after)
        assert after["descriptors"] <= before["descriptors"] + 2, (before, after)
        return {
            "kills": count,
            "streams": clients,
            "messages": sum(map(len, log.values())),
            "acknowledged": len(producer.acknowledged),
            "events_delivered": sum(stream.count for stream in streams.streams),
            "lost": 0,
            "doubled": 0,
            "seconds_until_away_is_said": spread(down),
            "seconds_until_live_again": spread(up),
            "health": health.figures(),
            "before": before,
            "after": after,
            "rss_mb_after_each_kill": ", ".join(map(str, memory)),
        }


def spread(values):
    """Return minimum, median and maximum."""
    ordered = sorted(values)
    if not ordered:
        return None
    return {"min": ordered[0], "median": ordered[len(ordered) // 2], "max": ordered[-1], "of": len(ordered)}


def pause(seconds=60, rate=200, clients=20):
    """Stop the broker with SIGSTOP: connections stay, nothing answers."""
    with World() as world, contextlib.ExitStack() as stack:
        server = world.serve()
        world.wait_live(server)
        streams = stack.enter_context(contextlib.closing(open_streams(world, server, clients)))
        producer = Producer(world.kafka.address, world.topic, rate)
        health = Health(server.port)
        pause_for(3)
        stopped = time.monotonic()
        world.kafka.pause()
        pause_for(seconds)
        world.kafka.resume()
        back = time.monotonic()
        until(lambda: health.first(back, is_live) is not None, seconds=30)
        pause_for(2)
        check_no_false_alarm(health, back + health.first(back, is_live), time.monotonic())
        producer.close()
        log = world.log()
        wait_for_all(streams.streams, log)
        health.close()
        check_streams(streams.streams, log, producer.acknowledged)
        away = [(at, state, ready) for at, _, state, ready in health.answers]
        wrong = [at - stopped for at, state, ready in away if stopped + TOLD_WITHIN_SECONDS < at < back and ready]
        assert not wrong, f"ready was said {len(wrong)} times while the broker was stopped"
        return {
            "seconds_stopped": seconds,
            "seconds_until_away_is_said": check_told(health.first(stopped, is_away), "the broker is away"),
            "seconds_until_the_last_stream_was_told": round(
                told_in_streams(streams.streams, stopped, {"reconnecting", "circuit_open"}), 2
            ),
            "seconds_until_live_again": check_told(health.first(back, is_live), "the broker is back"),
            "messages": sum(map(len, log.values())),
            "health": health.figures(),
        }


def absent(seconds=60):
    """Start the server first, the broker later, and the topic later still."""
    with World(start_broker=False) as world:
        server = world.serve()
        health = Health(server.port)
        pause_for(seconds)
        assert not any(ready for *_, ready in health.answers)
        state = health.answers[-1][2]
        world.kafka.start()
        pause_for(3)
        waiting = json.loads(server.get("/readyz"))
        assert "does not exist" in waiting["reason"], waiting
        world.create_topic()
        created = time.monotonic()
        until(lambda: health.first(created, is_live) is not None, seconds=30)
        health.close()
        return {
            "seconds_without_a_broker": seconds,
            "state_then": state,
            "said_without_the_topic": waiting["reason"],
            "seconds_from_topic_to_live": check_told(health.first(created, is_live), "the topic is there"),
            "health": health.figures(),
        }


def shutdown(streams=500, signals=("SIGTERM", "SIGINT")):
    """End the server with many streams open."""
    figures = {}
    for name in signals:
        with World(WEB_THREADS=str(streams + 20)) as world:
            server = world.serve()
            world.wait_live(server)
            everyone = open_streams(world, server, streams)
            begin = time.monotonic()
            os.kill(server.process.pid, getattr(signal, name))
            server.process.wait(30)
            took = time.monotonic() - begin
            until(lambda everyone=everyone: all(stream.ended for stream in everyone.streams), seconds=10)
            everyone.close()
            byes = sum(bool(stream.of_type("bye")) for stream in everyone.streams)
            proper = sum(stream.tail.endswith(b"0\r\n\r\n") for stream in everyone.streams)
            retries = {match for stream in everyone.streams for match in re.findall(rb"retry: (\d+)", stream.tail)[-1:]}
            assert byes == proper == streams, f"{byes} were told bye and {proper} ended properly, of {streams}"
            assert took < 3, f"{name}: gone after {took:.2f} s"
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
        refused = sum(client.refused for client in everyone)
        return {"clients": clients, "messages": sum(counts), "connections_refused_meanwhile": refused, "lost": 0}


class Returning(hopping.Client):
    """A client that comes back after its connection broke, as a browser does."""

    refused = 0

    def _sse(self, port, budget):
        try:
            super()._sse(port, budget)
        except OSError:
            self.refused += 1
            pause_for(0.2)


def hop(clients=150, cuts=200, rate=1_000, seconds=20):
    """Let clients of all transports hop with one cursor between three processes, behind nginx if it is there."""
    # All may land on one process, and a place is given back a moment after its client was cut.
    with World(WEB_THREADS=str(2 * clients + 10)) as world, contextlib.ExitStack() as stack:
        servers = [world.serve() for _ in range(3)]
        for server in servers:
            world.wait_live(server)
        cursor = json.loads(servers[0].get("/api/predictions"))["data"]["cursor"]
        ports = [server.port for server in servers]
        if proxy.is_there():
            ports = [stack.enter_context(proxy.Proxy(world.folder, ports)).port]
        transports = ["sse", "poll", "ws"]
        everyone = [hopping.Client(ports, cursor, transports, cuts, seed) for seed in range(clients)]
        begin = time.monotonic()
        producer = Producer(world.kafka.address, world.topic, rate)
        for client in everyone:
            client.start()
        pause_for(seconds)
        producer.close()
        log = world.log()
        counts = [len(log[number]) for number in range(len(log))]
        for client in everyone:
            client.end = counts
        for client in everyone:
            client.join(1200)
        hopping.verify(everyone, counts)
        return {
            "clients": clients,
            "chosen_by": "nginx, in turn" if proxy.is_there() else "the client, at random",
            "cuts": sum(client.hops for client in everyone),
            "messages": sum(counts),
            "events_delivered": sum(len(client.seen) for client in everyone),
            "lost": 0,
            "doubled": 0,
            "seconds": round(time.monotonic() - begin, 1),
        }


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
        streams = stack.enter_context(contextlib.closing(open_streams(world, server, clients)))
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
        returned.until_it_has(sum(map(len, log.values())), pid)
        assert returned.seen() == {partition: numbers for partition, numbers in log.items() if numbers}
        quiet, busy = latencies(streams, producer, begin, left), latencies(streams, producer, left, back)
        return {
            "messages_missed": messages,
            "seconds_until_it_had_them": round(back - left, 1),
            "lost": 0,
            "doubled": 0,
            "live_ms_before": quiet,
            "live_ms_meanwhile": busy,
            "live_p99_ratio": round(busy["p99"] / quiet["p99"], 2),
            "rss_mb_before": before["rss_mb"],
            "rss_mb_peak": peak,
        }


def stalled(each=15, rate=1_000, clients=10, seconds=10):
    """Let clients ask on every transport and then read nothing, under load, and see what that costs the others."""
    with World(BUFFER_ENTRIES="5000", CLIENT_TIMEOUT="5") as world, contextlib.ExitStack() as stack:
        server = world.serve()
        world.wait_live(server)
        (pid,) = server.workers()
        streams = stack.enter_context(contextlib.closing(open_streams(world, server, clients)))
        producer = Producer(world.kafka.address, world.topic, rate)
        until(lambda: producer.sent > 6_000, seconds=60)  # from here on the buffer is full
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
            "live_ms_meanwhile": busy,
            "live_p99_ratio": round(busy["p99"] / quiet["p99"], 2),
            "lost_by_others": 0,
            "rss_mb_peak": peak,
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
    found = re.findall(rb'greenwave_clients_stalled_total\{transport="(\w+)"\} (\d+)', server.get("/metrics"))
    return {transport.decode(): int(count) for transport, count in found}


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
        """Wait for so many events; return the most memory that a process held meanwhile, in MB."""
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
        """Return the numbers of each partition in the order they came."""
        seen = {}
        for partition, number in re.findall(rb'"model":"(\d+)/(\d+)"', self.path.read_bytes()):
            seen.setdefault(int(partition), []).append(int(number))
        return seen


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


def soak(minutes=30, rate=200, clients=40, seed=1):
    """Let clients come and go for a long time; memory, threads and descriptors must stay flat."""
    chance = random.Random(seed)
    with World() as world:
        server = world.serve(BUFFER_ENTRIES="20000")
        world.wait_live(server)
        (pid,) = server.workers()
        producer = Producer(world.kafka.address, world.topic, rate)
        health = Health(server.port)
        begin, samples, there, opened = time.monotonic(), [], [], 0
        while (now := time.monotonic() - begin) < minutes * 60:
            while len(there) < clients:
                there.append(Stream(server.port))
                opened += 1
            for stream in there:
                drain(stream)
            for stream in chance.sample(there, k=min(len(there), chance.randint(0, 4))):
                stream.sock.close()
                there.remove(stream)
            if not samples or now - samples[-1]["seconds"] >= 5:
                samples.append({"seconds": round(now, 1), **belongings(pid)})
            pause_for(0.25)
        for stream in there:
            stream.sock.close()
        producer.close()
        health.close()
        settled = [each["rss_mb"] for each in samples if each["seconds"] > minutes * 60 / 3]
        third = max(1, len(settled) // 3)
        growth = sum(settled[-third:]) / third - sum(settled[:third]) / third
        return {
            "minutes": minutes,
            "clients_opened": opened,
            "messages": producer.sent,
            "rss_mb": spread(settled),
            "rss_growth_mb_from_the_second_third_to_the_end": round(growth, 1),
            "threads": spread([each["threads"] for each in samples]),
            "descriptors": spread([each["descriptors"] for each in samples]),
            "health": health.figures(),
            "samples": samples,
        }


def drain(stream):
    """Read what is there."""
    with contextlib.suppress(BlockingIOError):
        while stream.sock.recv(262_144):
            pass


ALL = {
    scenario.__name__: scenario
    for scenario in (kills, pause, absent, shutdown, worker_killed, hop, away, stalled, soak)
}
