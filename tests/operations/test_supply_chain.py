"""The bill of materials, the list of licences, and what wheel and source distribution hold."""

import os
import re
import sys
import tarfile
import tomllib
import zipfile

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from consumer.version import VERSION
from tests.operations.test_deploying import ROOT, run
from tools import sbom

LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
RELEASE = (ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def bill():
    return sbom.of_product(sbom.of_environment(), sbom.locked(LOCK))


def test_the_bill_of_materials_is_valid(bill, tmp_path):
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(sbom.wire(bill)) is None


def test_the_bill_of_materials_has_what_is_locked_and_vendored_and_nothing_else(bill):
    names = {sbom.normalised(each["name"]) for each in bill["components"]}
    assert names <= sbom.locked(LOCK) | {"leaflet", "uplot", "us-atlas"}
    assert {"flask", "gunicorn", "kafka-python", "msgspec", "leaflet", "uplot", "us-atlas"} <= names
    assert "pytest" not in names
    for each in bill["components"]:
        assert re.search(rf"^{re.escape(each['name'])}==", LOCK, re.M | re.I) is None or f"=={each['version']}" in LOCK


def test_every_package_has_a_licence_that_is_listed(bill):
    assert sbom.PAGE.read_text(encoding="utf-8") == sbom.licences(bill)
    assert "not stated" not in sbom.licences(bill)


def test_the_bill_of_materials_is_the_same_for_the_same_packages(bill):
    again = sbom.of_product(sbom.of_environment(), sbom.locked(LOCK))
    assert sbom.wire(again) == sbom.wire(bill)


def test_the_image_that_is_pushed_has_the_base_of_the_one_that_was_compared():
    builds = re.findall(r"docker buildx build (?:.*\\\n)+", RELEASE)
    assert ['--build-arg "PYTHON_IMAGE=$BASE"' in each for each in builds] == [True, True]
    (base,) = re.findall(r'echo "BASE=(\S+)@\$digest"', RELEASE)
    assert f"\nARG PYTHON_IMAGE={base}\n" in (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_the_project_needs_what_requirements_txt_names():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    named = [line.partition("#")[0].strip() for line in lines]
    assert PROJECT["project"]["dependencies"] == [each for each in named if each]


def test_wheel_and_source_distribution_hold_the_product_and_are_reproducible(tmp_path):
    made = []
    for number in range(2):
        command = (sys.executable, "-m", "build", "--no-isolation", "--outdir", tmp_path / str(number), ".")
        status, printed = run(*command, env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"})
        assert status == 0, printed
        made.append({path.name: path.read_bytes() for path in (tmp_path / str(number)).iterdir()})
    assert set(made[0]) == {f"greenwave-{VERSION}-py3-none-any.whl", f"greenwave-{VERSION}.tar.gz"}
    assert made[0] == made[1]
    with zipfile.ZipFile(tmp_path / "0" / f"greenwave-{VERSION}-py3-none-any.whl") as wheel:
        names = set(wheel.namelist())
    assert {"app.py", "wsgi.py", "gunicorn.conf.py", "web/streams/hub.py", "templates/predictions.html"} <= names
    assert not [name for name in names if name.startswith(("tests/", "bench/", "tools/"))]
    with tarfile.open(tmp_path / "0" / f"greenwave-{VERSION}.tar.gz") as source:
        assert f"greenwave-{VERSION}/requirements.lock" in source.getnames()
