"""Runs of the simulation: 50 in `make test`, 1,000 in `make test-long`. A failure names its seed and its last steps."""

import pytest

from tests.properties import PROFILE, SHARES

from .faults import FAULTS, planted
from .simulation import Simulation

SEEDS = round(50 * SHARES[PROFILE])
SEEDS_PER_FAULT = 200
PLANTED = FAULTS if PROFILE == "long" else FAULTS[:5]


@pytest.mark.parametrize("seed", range(SEEDS))
def test_clients_get_everything_once_and_end_with_the_view(seed):
    Simulation(seed).run()


def test_a_seed_repeats_a_run_exactly():
    runs = [Simulation(3) for _ in range(2)]
    for run in runs:
        run.run()
    first, second = ([(list(run.trace), each.cursor, each.given, each.map) for each in run.clients] for run in runs)
    assert first == second


@pytest.mark.parametrize("fault", PLANTED, ids=lambda fault: fault.breaks)
def test_a_planted_fault_is_found(fault):
    with planted(fault):
        found = next(filter(None, map(failure_of, range(SEEDS_PER_FAULT))), None)
    assert found is not None, "no seed finds it"
    assert found.startswith("seed ")
    assert "the last steps:\n" in found


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.breaks)
def test_a_fault_changes_a_line_that_is_there(fault):
    with planted(fault):
        pass


def failure_of(seed):
    """Return why a run fails; None if it does not."""
    try:
        Simulation(seed).run()
    except AssertionError as error:
        return str(error)
    return None
