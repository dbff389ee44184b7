"""A schema registry for the tests: Apicurio, whose API under /apis/ccompat/v7 is Confluent's.

It comes from Maven Central as an archive, into the cache of tests/kafka/apache.py, and runs as a process with Java 17
that keeps its schemas in memory. If it can't be had the tests fail: they are never skipped.
"""

import json
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import quote

from demo.broker import free_port
from tests.stopping import stop_process

VERSION = "2.6.13.Final"  # the last one for Java 17; 3.x needs 21
ARTIFACT = f"io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"
START_SECONDS = 90.0


class RegistryUnavailable(Exception):
    """The registry could not be started; the text says why."""


def installed() -> Path:
    """Return the folder of the registry, fetched once into the cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "greenwave"
    folder = cache / f"apicurio-{VERSION}"
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        plugin = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
        command = ["mvn", "-q", "-B", plugin, f"-Dartifact={ARTIFACT}", f"-DoutputDirectory={scratch}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        archives = list(Path(scratch).glob("*.tar.gz"))
        if done.returncode or not archives:
            raise RegistryUnavailable(f"Maven could not fetch {ARTIFACT}:\n{done.stdout[-2000:]}")
        target = Path(scratch) / "registry"
        with tarfile.open(archives[0]) as archive:
            archive.extractall(target, filter="data")
        try:
            target.rename(folder)
        except OSError:  # another run was faster, and its folder is as good
            pass
    return folder


class Apicurio:
    """A registry as a process of ours; it can be stopped and continued."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="greenwave-registry-"))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/apis/ccompat/v7"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Apicurio":
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def register(self, subject: str, schema: object, kind: str = "AVRO", references: object = ()) -> int:
        """Add a schema to a subject; return its id."""
        text = schema if isinstance(schema, str) else json.dumps(schema)
        body = {"schema": text, "schemaType": kind, "references": list(references)}
        path = f"/subjects/{quote(subject, safe='')}/versions"
        return int(self._request(path, json.dumps(body).encode())["id"])

    def pause(self) -> None:
        """Stop it without ending it (SIGSTOP): connections are accepted, nothing answers."""
        assert self._process is not None
        stop_process(self._process.pid)

    def resume(self) -> None:
        """Let it go on (SIGCONT)."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def close(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self) -> None:
        (jar,) = installed().glob("*runner.jar")
        options = ["-Xmx400m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        address = ["-Dquarkus.http.host=127.0.0.1", f"-Dquarkus.http.port={self.port}"]
        with open(self.folder / "log", "ab") as output:
            self._process = subprocess.Popen(
                ["java", *options, *address, "-jar", str(jar)],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                log = (self.folder / "log").read_text(errors="replace")[-3000:]
                raise RegistryUnavailable(f"Apicurio does not answer at {self.url}; its log ends:\n{log}")
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            return "AVRO" in self._request("/schemas/types")
        except (OSError, ValueError):
            return False

    def _request(self, path: str, body: bytes | None = None):
        headers = {"Content-Type": "application/vnd.schemaregistry.v1+json"}
        try:
            with urllib.request.urlopen(urllib.request.Request(self.url + path, body, headers), timeout=20) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise ValueError(f"{error.code}: {error.read(500)!r}") from error
