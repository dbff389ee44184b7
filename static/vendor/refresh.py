"""Fetches the page's libraries from npm and writes down what was fetched: `make vendor`.

vendor.json names versions and files. A version that is changed there is fetched by the next run, which writes the
checksums; a test holds the files to them.
"""

import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

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
            library["sha256"] = dict(_copied(archive, HERE / name, library["files"]))
        sys.stdout.write(f"{package} ({library['licence']}): {', '.join(library['files'])}\n")
    MANIFEST.write_text(json.dumps(libraries, indent=2) + "\n")


def _copied(archive, folder, files):  # type: ignore[no-untyped-def]
    folder.mkdir(exist_ok=True)
    with tarfile.open(archive) as package:
        for path in files:
            content = package.extractfile(f"package/{path}").read()
            (folder / Path(path).name).write_bytes(content)
            yield Path(path).name, hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    main()
