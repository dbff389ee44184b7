"""A schema registry, and clients of it that end with the test."""

import pytest

from consumer.schemas.registry import Registry

from .helpers import fake_registry


@pytest.fixture
def fake(integration):
    """Return a fake registry."""
    with fake_registry() as running:
        yield running


@pytest.fixture
def open_registry():
    """Open registries; they are closed at the end."""
    opened = []

    def open_registry(settings, *args, **options):
        opened.append(Registry(settings, *args, **options))
        return opened[-1]

    yield open_registry
    for each in opened:
        each.close()
