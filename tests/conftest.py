"""What all tests share: the leak check, the choice of a broker, Apache Kafka."""

import contextlib
import gc
import logging
import signal

import pytest

from tests import metr_la, properties

pytest_plugins = ["pytester", "tests.leak_check", "tests.lanes"]

# As the product does. A captured record of the Kafka client would keep an error, its frames and their sockets alive.
logging.getLogger("kafka").setLevel(logging.CRITICAL)

properties.load_profile()

# A shell starts what runs in its background with SIGINT ignored, and children would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Import all tests without the garbage collector, and let it leave out later what was imported: all is used."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def pytest_report_header():
    """Say which tests have less to run on than they could."""
    return metr_la.report()


def pytest_addoption(parser):
    """Add the choice of the broker that integration tests run on."""
    parser.addoption("--broker", choices=("embedded", "apache"), default="embedded", help="what to test on")


@pytest.fixture(scope="session")
def apache(integration):
    """Return Apache Kafka, started once; the run ends, and fails, when it can't be had."""
    from tests.kafka.apache import KafkaUnavailable, choose

    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(choose()())
        except KafkaUnavailable as error:
            pytest.exit(f"no Apache Kafka: {error}", returncode=1)
        yield server


@pytest.fixture(scope="session")
def broker(integration):
    """Give one embedded broker to all tests that use topics of their own."""
    from demo.broker import EmbeddedBroker

    with EmbeddedBroker() as running:
        yield running
