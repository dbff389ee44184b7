"""nginx with Nchan, a publish and subscribe hub in C, fed by a small publisher that reads Kafka."""

import platform
import shutil
import subprocess
import sys
from pathlib import Path

from .base import Missing, Peer, cache

PACKAGES = ("nginx", "libnginx-mod-nchan")
STATE = Path("/var/lib/nginx")

CONFIGURATION = """
load_module {module};
daemon off; master_process off; worker_rlimit_nofile 4096;
pid {folder}/nginx.pid; error_log stderr warn;
events {{ worker_connections 2048; }}
http {{
  access_log off; client_body_temp_path {folder}/body; client_max_body_size 1m;
  proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  keepalive_requests 1000000; nchan_shared_memory_size 256m;
  server {{
    listen 127.0.0.1:{port} backlog=1024;
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
    """A hub and what publishes into it; both are measured together."""

    name = "Nchan"
    path = "/stream"

    @classmethod
    def fetch(cls) -> str:
        """Unpack Debian's packages into the cache, without installing them."""
        root = cache() / "nchan" / "root"
        if not _binary(root).exists():
            _unpack(root)
        _make_state()
        asked = subprocess.run([_binary(root), "-v"], capture_output=True, text=True, check=False)
        if asked.returncode:
            raise Missing(f"nginx does not run: {asked.stderr.strip()[-200:]}")
        module = (root / "version").read_text().strip()
        return f"{asked.stderr.strip().rpartition('/')[2]} (nginx), {module} (Nchan), with a publisher in Python"

    def start(self) -> None:
        """Start hub and publisher."""
        root, folder = cache() / "nchan" / "root", self.world.folder / f"nchan-{self.topic}"
        folder.mkdir()
        module = root / "usr/lib/nginx/modules/ngx_nchan_module.so"
        text = CONFIGURATION.format(module=module, folder=folder, port=self.port)
        (folder / "nginx.conf").write_text(text)
        self.run(str(_binary(root)), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr")
        self.run(sys.executable, "-m", "bench.peers.publisher", self.world.broker, self.topic, str(self.port))


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
    folder = root.parent / "packages"
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["apt-get", "download", *PACKAGES], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Missing(f"apt-get download {' '.join(PACKAGES)} failed")
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", package, root], check=True)
        if package.name.startswith("libnginx-mod-nchan"):
            asked = subprocess.run(["dpkg-deb", "-f", package, "Version"], capture_output=True, text=True, check=True)
            (root / "version").write_text(asked.stdout)
