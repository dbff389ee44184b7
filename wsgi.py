"""The app for gunicorn. Importing this module reads the settings and configures logging; no other import does."""

import os
import sys

from app import create_app
from consumer import SettingsError, load
from web.access.exposure import check_access
from web.logs import configure

try:
    settings = load(os.environ)
    check_access(settings)
except SettingsError as error:
    # One line instead of a traceback: the text names the setting and the allowed values.
    sys.exit(f"greenwave: {error}")

configure(settings)
app = create_app(settings)
