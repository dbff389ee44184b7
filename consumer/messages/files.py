"""Check the files that settings name, before anything starts."""

import os
import tempfile

from consumer.mapping.file import load_shapes
from consumer.schemas.registry import open_registry
from consumer.settings import Settings
from consumer.settings.checks import refusal
from consumer.sources.security import security_options

from .network import Network, load_network


def check_files(settings: Settings) -> Network:
    """Read the files that the settings name; return the network.

    Raises SettingsError for a certificate, key, CA file, mapping or network that can't be used, and for a database that
    can't be written.
    """
    security_options(settings)
    load_shapes(settings)
    open_registry(settings)
    for name in ("usual_file", "acknowledgements_file"):
        path = getattr(settings, name)
        if path and (fault := _fault_of(path)):
            raise refusal(name, path, f"an SQLite file, new or not, in a folder that can be written ({fault})")
    return load_network(settings.network_file, settings.network_id_property)


def _fault_of(path: str) -> str | None:
    """Return why SQLite can't write a file, and those that it makes beside it; None if it can."""
    file = os.path.realpath(path)
    folder = os.path.dirname(file)
    try:
        with tempfile.TemporaryFile(dir=folder):  # root may write, by its rights, also where nothing can be written
            pass
    except OSError as error:
        return f"the folder {folder!r}: {error.strerror}"
    if not os.path.exists(file):
        return None
    if not os.path.isfile(file):
        return "it is not a file"
    # Not opened: closing it would end the locks of this process (https://sqlite.org/howtocorrupt.html, section 2.2).
    return None if os.access(file, os.R_OK | os.W_OK) else "the file can't be read and written"
