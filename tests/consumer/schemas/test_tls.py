"""A registry behind TLS: its certificate is verified, and the log-in is sent to it alone."""

import ssl

import pytest

from consumer.schemas.client import RegistryAway, RegistryClient
from tests.kafka.secured import Certificates

from .helpers import fake_registry

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def serve(certificates):
    """Return a function that runs a registry with a certificate."""

    def serve(name):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates.path(name), certificates.key(name))
        return fake_registry(context)

    return serve


def test_a_registry_with_a_certificate_of_the_ca_file(certificates, serve):
    with serve("broker") as fake:
        fake.has(7, "{}")
        settings = fake.settings(
            schema_registry_cafile=certificates.path("ca"),
            schema_registry_username="ada",
            schema_registry_password="hush-hush",
        )
        assert RegistryClient(settings).fetch(7).text == "{}"
        assert fake.headers[0]["Authorization"].startswith("Basic ")


@pytest.mark.parametrize(
    ("certificate", "authority", "why"),
    [
        ("broker", None, "certificate verify failed"),
        ("broker", "other-ca", "certificate verify failed"),
        ("stranger", "ca", "certificate is not valid for '127.0.0.1'"),
    ],
)
def test_a_wrong_certificate_is_refused_before_the_login(certificates, serve, certificate, authority, why):
    with serve(certificate) as fake:
        fake.has(7, "{}")
        cafile = "" if authority is None else certificates.path(authority)
        settings = fake.settings(schema_registry_cafile=cafile, schema_registry_username="ada")
        with pytest.raises(RegistryAway, match=why):
            RegistryClient(settings).fetch(7)
        assert fake.requests == []
