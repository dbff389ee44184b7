"""A Flask view that returns the same bytes each time: what a request costs whatever its answer."""

import os
from pathlib import Path

from flask import Flask, Response

app = Flask(__name__)
_body = Path(os.environ["BENCH_BODY"]).read_bytes()


@app.get("/api/predictions")
def constant() -> Response:
    """Return the body."""
    return Response(_body, mimetype="application/json")
