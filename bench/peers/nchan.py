"""nginx with Nchan, a publish and subscribe hub in C, fed by a bridge that reads Kafka."""

import platform
import resource
import shutil
import subprocess
import tempfile
from pathlib import Path

from bench.cache import Missing, building, cache, python, run
from bench.group import ROOT, listens, until
from bench.pins import DEBIAN, PYTHON

from .base import Peer

STATE = Path("/var/lib/nginx")

CONFIGURATION = """
load_module {module};
daemon off; master_process off; worker_rlimit_nofile {files};
pid {folder}/nginx.pid; error_log stderr warn;
events {{ worker_connections {files}; }}
http {{
  access_log off; client_body_temp_path {folder}/body; client_max_body_size 1m;
  proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  keepalive_requests 100000000; nchan_shared_memory_size 256m;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /publish {{
      nchan_publisher; nchan_channel_id bench; nchan_message_buffer_length 20000; nchan_message_timeout 10m;
    }}
    location = /stream {{
      nchan_subscriber eventsource; nchan_channel_id bench; nchan_subscriber_first_message newest;
    }}
  }}
}}
"""


class Nchan(Peer):
    """A hub and its bridge; both are measured together."""

    name = "Nchan"
    path = "/stream"

    @classmethod
    def fetch(cls) -> str:
        """Unpack Debian's packages into the cache, without installing them."""
        root = cache() / "nchan"
        with building("nchan"):
            if not (root / "version").exists():
                _unpack(root)
        _make_state()
        asked = subprocess.run([_binary(root), "-v"], capture_output=True, text=True, check=False)
        if asked.returncode:
            raise Missing(f"nginx does not run: {asked.stderr.strip()[-200:]}")
        module = (root / "version").read_text().strip()
        nginx = asked.stderr.strip().rpartition("/")[2]
        return f"{module}, nginx {nginx}, fed by confluent-kafka {PYTHON['confluent-kafka']}"

    def start(self) -> None:
        """Start the hub and the bridge."""
        root, folder = cache() / "nchan", self.world.folder / f"nchan-{self.topic}"
        folder.mkdir(exist_ok=True)
        module = root / "usr/lib/nginx/modules/ngx_nchan_module.so"
        files = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 65_536)
        text = CONFIGURATION.format(module=module, folder=folder, port=self.port, files=files)
        (folder / "nginx.conf").write_text(text)
        self.run(_binary(root), "-p", folder, "-c", folder / "nginx.conf", "-e", "stderr")
        until(lambda: listens(self.port), 10, "nginx")
        self.run(
            python(), "-m", "bench.programs.bridge", self.world.broker, self.topic, "nchan", str(self.port), cwd=ROOT
        )


def _binary(root: Path) -> Path:
    return root / "usr/sbin/nginx"


def _make_state() -> None:
    """Make the folder that the package's own installation would make: Nchan insists on it, whatever is configured."""
    try:
        STATE.mkdir(exist_ok=True)
    except OSError as error:
        raise Missing(f"it needs the folder {STATE}, which could not be made ({error.strerror})") from error


def _unpack(root: Path) -> None:
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise Missing(f"it is taken from Debian's packages, and this is {platform.system()} without apt-get")
    with tempfile.TemporaryDirectory() as folder:
        run("apt-get", "download", *DEBIAN, cwd=Path(folder))
        for package in Path(folder).glob("*.deb"):
            run("dpkg-deb", "-x", package, root)
            if package.name.startswith("libnginx-mod-nchan"):
                (root / "version").write_text(run("dpkg-deb", "-f", package, "Version"))
