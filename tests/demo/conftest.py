"""A broker that the tests of the demo share."""

import pytest

from demo.broker import EmbeddedBroker


@pytest.fixture(scope="session")
def broker():
    """Give one embedded broker to all tests of this folder; each uses a topic of its own."""
    with EmbeddedBroker() as running:
        yield running
