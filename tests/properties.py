"""Hypothesis profiles, chosen by HYPOTHESIS_PROFILE.

    dev    other examples in each run; a failing one is kept in .hypothesis/ and tried first in the next run (default)
    ci     the same examples in each run of a version, so that a failure can be repeated anywhere
    quick  a twentieth of the examples (`make test-unit`)
    long   twenty times the examples (`make test-long`)

No profile limits the time of an example: a busy machine is no failure.
"""

import os

from hypothesis import HealthCheck, settings

SHARES = {"dev": 1, "ci": 1, "quick": 0.05, "long": 20}
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "dev")

for _name, _share in SHARES.items():
    settings.register_profile(
        _name,
        settings.get_profile("default"),
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow],
        max_examples=round(100 * _share),
        **({"derandomize": True, "database": None} if _name == "ci" else {}),
    )


def load_profile():
    """Load the profile that the environment names."""
    settings.load_profile(PROFILE)


def examples(count, *suppressed):
    """Return settings for so many examples, scaled by the profile, without some health checks."""
    checks = [HealthCheck.too_slow, *suppressed]
    return settings(max_examples=max(1, round(count * SHARES[PROFILE])), suppress_health_check=checks)
