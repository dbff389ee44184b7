"""The app for gunicorn: the one file where importing acts. It reads the settings and sets up logging."""

import os
import sys

from app import create_app
from consumer import SettingsError, load
from web.logs import configure

try:
    settings = load(os.environ)
except SettingsError as error:
    # One line for the operator, not a traceback: the text says which setting, and what is allowed.
    sys.exit(f"greenwave: {error}")

configure(settings)
app = create_app(settings)
