"""Scores through the whole path: replayed speeds, broker, consumer, gunicorn, answer; computed from the file here.

The last test has topics of JSON, Avro and measured speeds, and checks the sums before they are rounded.

On the first day of a recording, a forecast that learns from the days before is the measured speed. So the file alone
says what every error is.
"""

import contextlib
import csv
import gzip
import json
import random
from datetime import datetime

import pytest
from kafka import KafkaProducer
from msgspec import structs

from consumer.sources.kafka import client_options
from tests.consumer.scoring.test_scores import verify_unrounded
from tests.integration.test_replay import STEP, ZERO, ZONE, files, newest_of, replay
from tests.kafka.helpers import WAIT_SECONDS
from tests.kafka.test_many_sources import encoded, judged, registry
from tests.web.server.test_worker import until

__all__ = ["files", "registry"]

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


def test_sums_of_three_topics_equal_a_direct_computation(broker, registry, settings, consume):
    names = [broker.create_topic(partitions=1) for _ in range(3)]
    kinds = judged(random.Random(12))
    for name, kind in zip(names, kinds, strict=True):
        # One producer each: the embedded broker names all topics at first, so a producer of several never asks for the
        # later ones, and forgets their leaders.
        with contextlib.closing(KafkaProducer(**client_options(settings), acks="all")) as producer:
            for value in encoded(kind, is_avro=kind is kinds[1]):
                producer.send(name, value, partition=0)
            producer.flush(WAIT_SECONDS)
    consumer = consume(structs.replace(settings, kafka_topic=",".join(names), schema_registry_url=registry.url))
    messages = [message for kind in kinds for message in kind]
    until(lambda: consumer.feed.fill().received == len(messages), seconds=WAIT_SECONDS)
    assert consumer.quarantine.snapshot()["total"] == 0
    verify_unrounded(consumer.feed, messages)
