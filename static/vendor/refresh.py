"""Fetch the page's libraries from npm, and record their checksums: `make vendor`.

vendor.json names versions and files. Change a version there, and the next run fetches it and updates the checksums; a
test compares the files with them. Of a map with a `region` (west, south, east, north in degrees) only the lines within
are kept, as GeoJSON.
"""

import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from itertools import accumulate, groupby
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
MANIFEST = HERE / "vendor.json"


def main() -> None:
    """Refresh all libraries."""
    libraries = json.loads(MANIFEST.read_text())
    for name, library in libraries.items():
        with tempfile.TemporaryDirectory() as folder:
            package = f"{name}@{library['version']}"
            subprocess.run(["npm", "pack", "--silent", package], cwd=folder, check=True, stdout=subprocess.DEVNULL)
            (archive,) = Path(folder).glob("*.tgz")
            library["sha256"] = dict(_copied(archive, HERE / name, library["files"], library.get("region")))
        sys.stdout.write(f"{package} ({library['licence']}): {', '.join(library['files'])}\n")
    MANIFEST.write_text(json.dumps(libraries, indent=2) + "\n")


def _copied(archive: Path, folder: Path, files: list[str], region: list[float] | None) -> Iterator[tuple[str, str]]:
    """Copy files from an archive, and yield their names and checksums."""
    folder.mkdir(exist_ok=True)
    with tarfile.open(archive) as package:
        for path in files:
            member = package.extractfile(f"package/{path}")
            assert member is not None, path
            content = member.read()
            if region and path.endswith(".json"):
                content = _clipped(json.loads(content), region)
            (folder / Path(path).name).write_bytes(content)
            yield Path(path).name, hashlib.sha256(content).hexdigest()


def _clipped(topology: dict[str, Any], region: list[float]) -> bytes:
    """Return the arcs of a quantised TopoJSON topology within a region, as GeoJSON: each shared border once."""
    (scale_x, scale_y), (west_most, south_most) = topology["transform"].values()
    west, south, east, north = region
    lines = []
    for arc in topology["arcs"]:
        # Positions are differences to the one before.
        positions = accumulate(arc, lambda one, other: (one[0] + other[0], one[1] + other[1]))
        places = [(x * scale_x + west_most, y * scale_y + south_most) for x, y in positions]
        for is_inside, run in groupby(places, lambda at: west <= at[0] <= east and south <= at[1] <= north):
            line = [[round(x, 4), round(y, 4)] for x, y in run] if is_inside else []
            if len(line) > 1:
                lines.append(line)
    return json.dumps({"type": "MultiLineString", "coordinates": lines}, separators=(",", ":")).encode()


if __name__ == "__main__":
    main()
