"""Hooks of Schemathesis for test_documents.py."""

import schemathesis


@schemathesis.hook
def before_call(context, case, kwargs):
    """Shorten the wait of a long poll, which would take most of the time of a run."""
    wait = (case.query or {}).get("wait")
    if isinstance(wait, int | float | str) and str(wait).replace(".", "").isdigit() and 0 < float(wait) <= 25:
        case.query["wait"] = "0.05"
