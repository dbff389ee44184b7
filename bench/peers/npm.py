"""The npm packages of the peers, in one folder of the cache."""

import json
from pathlib import Path

from bench.cache import building, cache, run
from bench.pins import NPM

PACKAGE = {"name": "peers", "private": True, "dependencies": NPM, "allowScripts": {"node-rdkafka": True}}
"""Newer versions of npm build native code only with allowScripts."""


def installed() -> Path:
    """Install the packages once and return their folder. It builds librdkafka from source, which takes minutes."""
    text = json.dumps(PACKAGE)
    folder = cache() / "npm"
    complete = folder / "complete"
    with building("npm"):
        if not complete.exists() or complete.read_text() != text:
            folder.mkdir(exist_ok=True)
            (folder / "package.json").write_text(text)
            run("npm", "install", "--no-audit", "--no-fund", cwd=folder)
            complete.write_text(text)
    return folder


def node_version() -> str:
    """Return the version of Node.js."""
    return f"Node.js {run('node', '--version').strip()}"
