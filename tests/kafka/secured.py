"""Apache Kafka behind TLS and log-in: certificates made for the test by openssl, and a listener for each way in.

Needs the command openssl and Java; users are SCRAM's, stored when the node is formatted, and PLAIN's, in its
configuration.
"""

import contextlib
import shutil
import subprocess

from tests.kafka.apache import ApacheKafka, KafkaUnavailable

USER = "greenwave"
PASSWORD = "correct horse battery"
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
LISTENERS = {
    "TLS": "SSL",
    "MUTUAL": "SSL",  # asks for the client's certificate
    "STRANGER": "SSL",  # so does this one, and its own certificate is for another host
    "LOGIN": "SASL_PLAINTEXT",
    "TLSLOGIN": "SASL_SSL",
}


class Certificates:
    """A CA in a folder, and what it signs: `path(name)` is a certificate, `key(name)` its key, both PEM."""

    def __init__(self, folder):
        self._folder = folder
        for authority in ("ca", "other-ca"):
            self._openssl("req", "-x509", *self._new(authority), "-out", self.path(authority))
        self._sign("broker", "ca", "IP:127.0.0.1")
        self._sign("stranger", "ca", "DNS:kafka.example")
        self._sign("client", "ca", "DNS:greenwave")
        self._sign("other-client", "other-ca", "DNS:greenwave")

    def path(self, name):
        return str(self._folder / f"{name}.pem")

    def key(self, name):
        return str(self._folder / f"{name}.key")

    def both(self, name):
        """Return a file with the key and the certificate, as Kafka wants a PEM key store."""
        both = self._folder / f"{name}.both.pem"
        both.write_text(self.text(self.key(name)) + self.text(self.path(name)))
        return str(both)

    @staticmethod
    def text(path):
        with open(path, encoding="ascii") as file:
            return file.read()

    def _new(self, name):
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
        return (*curve, "-subj", f"/CN={name}", "-keyout", self.key(name))

    def _sign(self, name, authority, alternative):
        request, extension = self._folder / f"{name}.csr", self._folder / f"{name}.ext"
        extension.write_text(f"subjectAltName={alternative}\n")
        self._openssl("req", *self._new(name), "-out", request)
        issuer = ("-CA", self.path(authority), "-CAkey", self.key(authority), "-CAcreateserial")
        self._openssl(
            "x509", "-req", "-in", request, *issuer, "-days", "2", "-extfile", extension, "-out", self.path(name)
        )

    @staticmethod
    def _openssl(*arguments):
        if shutil.which("openssl") is None:
            raise KafkaUnavailable("the command openssl is not installed; certificates for the test are made by it")
        done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise KafkaUnavailable(f"openssl {arguments[0]} failed:\n{done.stderr}")


@contextlib.contextmanager
def secured_kafka(certificates):
    """Run a node with all listeners."""
    kafka = ApacheKafka(_properties(certificates), LISTENERS)
    try:
        users = [f"SCRAM-SHA-{bits}=[name={USER},password={PASSWORD}]" for bits in (256, 512)]
        kafka.format(*[option for user in users for option in ("--add-scram", user)])
        kafka.start()
        yield kafka
    finally:
        kafka.close()


def _properties(certificates):
    found = {}
    for listener in ("TLS", "MUTUAL", "STRANGER", "TLSLOGIN"):
        own = "stranger" if listener == "STRANGER" else "broker"
        ours = {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": certificates.both(own),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": certificates.path("ca"),
            "ssl.client.auth": "required" if listener in ("MUTUAL", "STRANGER") else "none",
        }
        found |= {f"listener.name.{listener.lower()}.{name}": value for name, value in ours.items()}
    for listener in ("LOGIN", "TLSLOGIN"):
        found |= {f"listener.name.{listener.lower()}.{name}": value for name, value in _login().items()}
    return found


def _login():
    package = "org.apache.kafka.common.security"
    scram = f"{package}.scram.ScramLoginModule required;"
    return {
        "sasl.enabled.mechanisms": ",".join(MECHANISMS),
        "plain.sasl.jaas.config": f'{package}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";',
        "scram-sha-256.sasl.jaas.config": scram,
        "scram-sha-512.sasl.jaas.config": scram,
    }
