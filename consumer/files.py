"""The files that settings name, looked at before anything starts."""

from .network import load_network
from .security import security_options
from .settings import Settings


def check_files(settings: Settings) -> None:
    """Read what the settings name. Raises SettingsError for a certificate, key or network that can't be used."""
    security_options(settings)
    load_network(settings.network_file)
