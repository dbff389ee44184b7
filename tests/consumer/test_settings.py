"""Settings: documents show the table of the code; a wrong value is refused by name, value and what is allowed."""

import re
import sys
import traceback
from pathlib import Path

import pytest

from consumer.errors import SettingsError
from consumer.settings import SECTIONS, Settings, fields, load, table
from consumer.sources.security import security_options, security_protocol
from tools.settings_page import PAGE, page

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"


def rows(text):
    """Return the rows (name, default, unit, help) of the tables of settings in a document."""
    found = re.findall(r"^\| `([A-Z_]+)` \| (.*?) \| (.*?) \| (.*?) \|$", text, re.MULTILINE)
    return [(name, default.strip("`"), unit, help_) for name, default, unit, help_ in found]


def test_the_settings_page_is_generated_from_the_table():
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m tools.settings_page"


def test_the_settings_page_shows_every_row_of_the_table():
    assert rows(page()) == table()


def test_the_settings_in_the_readme_are_rows_of_the_table():
    shown = rows(README.read_text(encoding="utf-8"))
    assert shown
    assert set(shown) <= set(table())


def test_without_variables_the_defaults_count():
    assert load({}) == Settings()
    assert load({"PORT": "", "UNRELATED": "x"}) == Settings()


def test_a_variable_is_read_by_its_name_and_converted():
    settings = load(
        {"PORT": "9000", "KAFKA_SSL_CHECK_HOSTNAME": "off", "SPEED_UNIT": "kmh", "HEARTBEAT_SECONDS": "2.5"}
    )
    assert (settings.port, settings.kafka_ssl_check_hostname, settings.speed_unit) == (9000, False, "kmh")
    assert settings.heartbeat_seconds == 2.5


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("PORT", "web", "a whole number from 0 to 65535"),
        ("PORT", "70000", "a whole number from 0 to 65535"),
        ("KAFKA_SILENCE_SECONDS", "nan", "a number from 3 to 60"),
        ("KAFKA_SILENCE_SECONDS", "1", "a number from 3 to 60"),
        ("KAFKA_CLIENT", "librdkafka", "one of confluent, kafka-python"),
        ("SPEED_UNIT", "knots", "one of kmh, mph"),
        ("KAFKA_SSL_CHECK_HOSTNAME", "perhaps", "true or false"),
        ("KAFKA_TOPIC", "a topic", "a name of at most 249 characters"),
        ("KAFKA_BROKERS", "kafka://a:1", "a comma list of host:port"),
        ("KAFKA_BROKERS", ",", "a comma list of host:port"),
        ("KAFKA_BACKLOG", "an hour", "10000/1h, 500, 0, all"),
        ("CATEGORY_THRESHOLDS", "60,45", "three descending speeds in mph, such as 60,45,30"),
        ("CATEGORY_THRESHOLDS", "30,45,60", "three descending speeds in mph, such as 60,45,30"),
        ("PRODUCER_TIMEZONE", "Mars/Base", "a name such as America/Los_Angeles"),
        ("PRODUCER_TIMEZONE", "../etc", "a name such as America/Los_Angeles"),
        ("WEB_THREADS", "3", "a whole number from 4 to 2000"),
        ("ACKNOWLEDGEMENTS_TOPIC", "a topic", "the name of a topic that KAFKA_TOPIC does not include"),
        ("ACKNOWLEDGEMENTS_TOPIC", "a,b", "the name of a topic that KAFKA_TOPIC does not include"),
        ("ACKNOWLEDGEMENTS_TOPIC", "^a", "the name of a topic that KAFKA_TOPIC does not include"),
        ("ACKNOWLEDGEMENTS_TOPIC", "traffic-predictions", "the name of a topic that KAFKA_TOPIC does not include"),
        ("LOG_LEVEL", "loud", "one of DEBUG, ERROR, INFO, WARNING"),
    ],
)
def test_a_wrong_value_is_refused_by_name_with_what_is_allowed(name, value, allowed):
    with pytest.raises(SettingsError) as refused:
        load({name: value})
    assert str(refused.value).startswith(f"{name}={value!r} can't be used; allowed: {allowed}")


KEY = "whsec_" + "QUJD" * 8


@pytest.mark.parametrize(
    ("url", "secret", "refused", "why"),
    [
        ("https://a.example/x?token=hush", "", "WEBHOOK_SECRET", "WEBHOOK_URL needs it"),
        ("https://a.example/", "QUJD" * 8, "WEBHOOK_SECRET", "does not begin with whsec_"),
        ("https://a.example/", "whsec_QUJD", "WEBHOOK_SECRET", "its key has 3 bytes"),
        ("https://a.example/", "whsec_hush!", "WEBHOOK_SECRET", "base64"),
        ("", "whsec_hush", "WEBHOOK_SECRET", "its key has 3 bytes"),
        ("ftp://a.example/hush", KEY, "WEBHOOK_URL", "it is not an http URL"),
        ("https://ada:hush@a.example/", KEY, "WEBHOOK_URL", "without a log-in"),
        ("https://a.example/a b", KEY, "WEBHOOK_URL", "it is not an http URL"),
        ("https://a.example/#hush", KEY, "WEBHOOK_URL", "it is not an http URL"),
        ("https://a.example:0/", KEY, "WEBHOOK_URL", "it is not an http URL"),
        ("https://a.example:99999/", KEY, "WEBHOOK_URL", "Port"),
    ],
)
def test_a_webhook_that_can_not_be_used_is_refused_and_not_shown(url, secret, refused, why):
    with pytest.raises(SettingsError) as error:
        load({"WEBHOOK_URL": url, "WEBHOOK_SECRET": secret})
    assert str(error.value).startswith(f"{refused}=(not shown) can't be used; allowed: ")
    assert why in str(error.value)
    assert "hush" not in str(error.value)


def test_a_webhook_has_a_url_and_a_key():
    settings = load({"WEBHOOK_URL": "https://a.example:8443/hooks/1?token=x", "WEBHOOK_SECRET": KEY})
    assert settings.webhook_key == b"ABC" * 8


def test_a_client_that_is_not_installed_is_refused_with_the_command_that_installs_it(monkeypatch):
    assert load({"KAFKA_CLIENT": "confluent"}).kafka_client == "confluent"
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    with pytest.raises(SettingsError) as refused:
        load({"KAFKA_CLIENT": "confluent"})
    assert str(refused.value) == (
        "KAFKA_CLIENT='confluent' can't be used; allowed: kafka-python; confluent after "
        "`pip install -r requirements-confluent.txt` (the package confluent-kafka is not installed)"
    )


@pytest.mark.parametrize("package", ["fastavro", "grpc_tools"])
def test_a_registry_without_its_packages_is_refused(monkeypatch, package):
    assert load({"SCHEMA_REGISTRY_URL": "http://localhost:8081"}).schema_registry_wait == 20
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        SettingsError, match=f"the package {package} is not installed: `pip install -r requirements-reg"
    ):
        load({"SCHEMA_REGISTRY_URL": "http://localhost:8081"})


@pytest.mark.parametrize(
    "url",
    [
        "http://ada:hush@localhost:8081",
        "http://ada:hu/sh@localhost:8081",
        "http://ada:hu@sh@localhost/apis",
        "http://hush@localhost",
    ],
)
def test_a_login_in_the_url_of_the_registry_is_refused_and_not_shown(url):
    with pytest.raises(SettingsError, match="SCHEMA_REGISTRY_URL") as refused:
        load({"SCHEMA_REGISTRY_URL": url})
    assert "hu" not in str(refused.value).replace("http", "")
    assert "a log-in belongs in SCHEMA_REGISTRY_USERNAME and _PASSWORD" in str(refused.value)


@pytest.mark.parametrize(
    "url", ["localhost:8081", "ftp://localhost", "http://", "http://a:99999", "http://a/?b=c", "http://a:0"]
)
def test_a_registry_needs_an_http_url(url):
    with pytest.raises(SettingsError, match="SCHEMA_REGISTRY_URL"):
        load({"SCHEMA_REGISTRY_URL": url})


@pytest.mark.parametrize("url", ["http://registry", "https://[::1]:8081/apis/ccompat/v7", "HTTPS://a.b-c_d:1/"])
def test_urls_of_a_registry(url):
    assert load({"SCHEMA_REGISTRY_URL": url}).schema_registry_url == url


def test_a_password_for_the_registry_needs_a_user():
    with pytest.raises(SettingsError, match="SCHEMA_REGISTRY_USERNAME") as refused:
        load({"SCHEMA_REGISTRY_PASSWORD": "hush"})
    assert "hush" not in str(refused.value)


def test_a_login_without_a_name_is_refused():
    with pytest.raises(SettingsError, match="KAFKA_SASL_USERNAME='' can't be used"):
        load({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"})


def test_a_prefix_that_makes_the_topic_too_long_is_refused():
    with pytest.raises(SettingsError, match="KAFKA_PREFIX"):
        load({"KAFKA_PREFIX": "p" * 249})


@pytest.mark.parametrize(
    ("environ", "brokers"),
    [
        ({}, ["localhost:9092"]),
        ({"KAFKA_BROKERS": "a, b:1,[::1]:2"}, ["a:9092", "b:1", "[::1]:2"]),
        ({"KAFKA_URL": "kafka+ssl://a:1,kafka+ssl://b:2"}, ["a:1", "b:2"]),
        ({"KAFKA_URL": "kafka+ssl://a:1", "KAFKA_BROKERS": "c:3"}, ["c:3"]),
    ],
)
def test_brokers_come_from_kafka_brokers_else_from_herokus_url(environ, brokers):
    assert load(environ).brokers == brokers


@pytest.mark.parametrize(
    ("environ", "checked"),
    [
        ({}, True),
        ({"KAFKA_TRUSTED_CERT": "x"}, False),
        ({"KAFKA_TRUSTED_CERT": "x", "KAFKA_SSL_CHECK_HOSTNAME": "true"}, True),
        ({"KAFKA_SSL_CHECK_HOSTNAME": "false"}, False),
    ],
)
def test_host_names_are_checked_unless_off_or_herokus_certificates(environ, checked):
    assert load(environ).kafka_ssl_check_hostname is checked


@pytest.mark.parametrize(
    "value",
    [
        "kafka+ssl://name:hush@host",
        "name:hush@host:9096",
        "kafka+ssl://a:1,kafka+ssl://name:hu/hush@:9096",
        "kafka+ssl://name:hush,hush@host:9096",
        "kafka+ssl://name:hush@[host:9096",
    ],
)
def test_a_password_in_a_url_is_not_shown(value):
    with pytest.raises(SettingsError, match=r"KAFKA_URL='\*\*\*@") as refused:
        load({"KAFKA_URL": value})
    assert "hush" not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize(
    "value",
    [
        "name:hush@host:9092",
        "a:1,name:hush@host:9092",
        "name:9092/hush@host:9092",
        "name:9092?hush@host:9092",
        "name:hush,hush@host:9092",
        "name:1,hush@host:9092",
        "kafka+ssl://name:hush@host:9092",
        "hush\u2100@host:9092",
    ],
)
def test_brokers_with_a_login_are_refused_and_it_is_not_shown(value):
    with pytest.raises(SettingsError, match=r"KAFKA_BROKERS='\*\*\*@host:9092' .* KAFKA_SASL_USERNAME") as refused:
        load({"KAFKA_BROKERS": value})
    assert "hush" not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize("name", ["KAFKA_BROKERS", "KAFKA_URL"])
@pytest.mark.parametrize("value", ["host:9092?password=hush", "name:hush%40host:9092", "name:hush"])
def test_of_brokers_only_hosts_and_ports_are_shown(name, value):
    with pytest.raises(SettingsError, match=rf"{name}='a:1,\*\*\*' can't be used") as refused:
        load({name: f"a:1,{value}"})
    assert "hush" not in "".join(traceback.format_exception(refused.value))


def test_the_reason_why_a_setting_is_refused_masks_a_login_too():
    with pytest.raises(SettingsError, match="PRODUCER_TIMEZONE") as refused:
        load({"PRODUCER_TIMEZONE": "name:hush@host:9092"})
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("value", ["a", "a:1", "my_host.example-1.org:65535", "[::1]:9092", "[fe80::1%eth0]:9092"])
def test_a_host_with_or_without_a_port_is_a_broker(value):
    assert load({"KAFKA_BROKERS": value}).brokers == [value if ":" in value else f"{value}:9092"]


@pytest.mark.parametrize("name", ["ALLOWED_ORIGINS", "EMBED_ORIGINS"])
def test_a_password_in_an_origin_is_not_shown(name):
    with pytest.raises(SettingsError, match=r"='\*\*\*@b.org' .*number 2 of them is not an origin") as refused:
        load({name: "https://a.org,https://name:hush@b.org"})
    assert "hush" not in str(refused.value)


def test_herokus_prefix_is_put_before_the_topic():
    assert load({"KAFKA_PREFIX": "columbia-1."}).topic == "columbia-1.traffic-predictions"


def test_herokus_url_means_tls():
    assert security_protocol(load({"KAFKA_URL": "kafka+ssl://a:1"})) == "SSL"
    assert security_protocol(load({})) == "PLAINTEXT"


def test_login_options_are_handed_to_the_client():
    settings = load(
        {
            "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
            "KAFKA_SASL_USERNAME": "u",
            "KAFKA_SASL_PASSWORD": "p",
        }
    )
    assert security_options(settings) == {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "u",
        "sasl_plain_password": "p",
    }


def test_a_bad_certificate_is_a_settings_error_without_its_text():
    with pytest.raises(SettingsError) as refused:
        security_options(Settings(kafka_security_protocol="SSL", kafka_client_cert="x", kafka_client_cert_key="hush"))
    assert "KAFKA_CLIENT_CERT" in str(refused.value)
    assert "hush" not in str(refused.value)


def test_every_default_is_a_value_that_is_allowed():
    for name, default, _, _ in table():
        load({name: default})


def test_speeds_in_kmh_are_judged_in_mph():
    assert Settings(speed_unit="kmh").mph_per_unit == pytest.approx(0.621371, abs=1e-6)


def test_each_section_of_the_table_has_its_title_as_a_comment():
    source = Path(fields.__file__).read_text(encoding="utf-8")
    missing = [title for first, title in SECTIONS.items() if f"\n    # {title}\n    {first.lower()}: " not in source]
    assert missing == []


def test_the_documents_state_the_memory_of_all_stores():
    settings = Settings(buffer_bytes=1 << 20)
    names = [name for name, value in vars(Settings).items() if isinstance(value, property) and name.endswith("_bytes")]
    others = sum(getattr(settings, name) for name in names)
    assert others / settings.buffer_bytes == 2 + 1 / 8
    assert "All other stores together take at most 2⅛ times as much" in PAGE.read_text(encoding="utf-8")
    for name in ("docs/memory.md", "docs/operations/sizing.md"):
        assert re.search(r"base \+ BUFFER_BYTES . 3⅛ \+ clients", (ROOT / name).read_text(encoding="utf-8"))
