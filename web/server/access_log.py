"""gunicorn's log: access lines with the fields of JSON logs, and without the work for lines that are not shown."""

import logging
from datetime import timedelta
from typing import Any

from gunicorn.glogging import Logger

from web.logs import ENVIRON


class AccessLog(Logger):  # type: ignore[misc]
    """Builds a line of the access log only at a level that shows it; building one takes as long as a short request."""

    def access(self, resp: Any, req: Any, environ: dict[str, Any], request_time: timedelta) -> None:
        """Log a request."""
        if not self.access_log.isEnabledFor(logging.INFO):
            return
        atoms = self.atoms_wrapper_class(self.atoms(resp, req, environ, request_time))
        fields = {
            "request_id": environ.get(ENVIRON, ""),
            "client": environ.get("REMOTE_ADDR", ""),
            "method": environ.get("REQUEST_METHOD", ""),
            "target": environ.get("RAW_URI", ""),
            "status": int(str(resp.status).split(None, 1)[0]),
            "bytes": resp.sent,
            "seconds": request_time.total_seconds(),
            "user_agent": environ.get("HTTP_USER_AGENT", ""),
        }
        self.access_log.info(self.cfg.access_log_format, atoms, extra={"fields": fields})
