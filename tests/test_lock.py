"""The lock files agree with the requirements: each names all that is needed, in allowed versions, with hashes."""

import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("", "-confluent", "-registry", "-auth", "-otel", "-demo", "-dev")
PAIRS = [(f"requirements{part}.txt", f"requirements{part}.lock") for part in PARTS]
PIN = re.compile(
    r"^(?P<name>[a-z0-9-]+)==(?P<version>\S+)(?: ; .*)? \\\n(?P<hashes>(?:    --hash=sha256:[0-9a-f]{64}.*\n)+)", re.M
)


def required(name):
    """Return the requirements of a file and of those that it includes."""
    found = []
    for line in (ROOT / name).read_text().splitlines():
        text = line.partition("#")[0].strip()
        if text.startswith("-r "):
            found += required(text.removeprefix("-r "))
        elif text:
            found.append(Requirement(text))
    return found


def locked(name):
    """Return version and hashes of each package in a lock file."""
    text = (ROOT / name).read_text()
    found = {pin["name"]: (pin["version"], pin["hashes"]) for pin in PIN.finditer(text)}
    assert len(found) == len(re.findall(r"^[^ #\n]", text, re.M)), "each package is pinned and has hashes"
    return found


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def needed(requirements):
    """Yield requirements and all that they need here, as the installed packages say."""
    waiting, seen = list(requirements), set()
    while waiting:
        each = waiting.pop()
        key = canonical(each.name), frozenset(each.extras)
        yield each
        if key not in seen:
            seen.add(key)
            for text in metadata.requires(each.name) or ():
                further = Requirement(text)
                extras = each.extras or {""}
                if further.marker is None or any(further.marker.evaluate({"extra": extra}) for extra in extras):
                    waiting.append(further)


@pytest.mark.parametrize(("requirements", "lock"), PAIRS)
def test_lock_has_all_requirements_in_allowed_versions(requirements, lock):
    versions = {name: version for name, (version, _) in locked(lock).items()}
    for each in needed(required(requirements)):
        version = versions.get(canonical(each.name))
        assert version is not None, f"{each} is not in {lock}: run make lock"
        assert each.specifier.contains(version, prereleases=True), f"{lock} has {version}, not {each}: run make lock"


def test_locks_agree_with_each_other():
    product, confluent, registry, auth, otel, demo, dev = (locked(lock) for _, lock in PAIRS)
    assert product.items() <= demo.items() <= dev.items()
    assert product.items() <= confluent.items() <= dev.items()
    assert product.items() <= registry.items() <= dev.items()
    assert product.items() <= auth.items() <= dev.items()
    assert product.items() <= otel.items() <= dev.items()


@pytest.mark.parametrize("lock", [lock for _, lock in PAIRS])
def test_lock_names_no_registry(lock):
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert "--index" not in text
