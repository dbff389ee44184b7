"""Check the files that settings name, before anything starts."""

from consumer.mapping.file import load_shapes
from consumer.schemas.registry import open_registry
from consumer.settings import Settings
from consumer.sources.security import security_options

from .network import Network, load_network


def check_files(settings: Settings) -> Network:
    """Read the files that the settings name; return the network.

    Raises SettingsError for a certificate, key, CA file, mapping or network that can't be used.
    """
    security_options(settings)
    load_shapes(settings)
    open_registry(settings)
    return load_network(settings.network_file, settings.network_id_property)
