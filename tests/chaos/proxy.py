"""nginx in front of several processes, in turn (round robin), as a host would run it."""

import shutil
import socket
import subprocess
import time

from demo.broker import free_port

CONFIGURATION = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr warn; worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
  upstream greenwave {{ {servers} }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    {locations}
  }}
}}
"""
LOCATIONS = """
    location / {
      proxy_pass http://greenwave; proxy_http_version 1.1; proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
      proxy_read_timeout 60s;
    }
"""


def is_there():
    """Tell whether nginx is installed."""
    return shutil.which("nginx") is not None


class Proxy:
    """nginx on a free port; ends with its context."""

    def __init__(self, folder, ports, locations=LOCATIONS):
        self.port = free_port()
        servers = " ".join(f"server 127.0.0.1:{port} max_fails=0;" for port in ports)
        path = folder / "nginx.conf"
        path.write_text(CONFIGURATION.format(folder=folder, servers=servers, port=self.port, locations=locations))
        self._log = (folder / "nginx.log").open("wb")
        self._process = subprocess.Popen(["nginx", "-c", path, "-e", "stderr"], stderr=self._log)

    def __enter__(self):
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                assert self._process.poll() is None, "nginx did not start"
                assert time.monotonic() < deadline, "nginx does not listen"
                time.sleep(0.05)

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait()
        self._log.close()
