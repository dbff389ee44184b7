"""Databases that settings name are checked at the start."""

import os

import pytest

from consumer.errors import SettingsError
from consumer.messages.files import check_files
from consumer.settings import Settings

NAMES = ["usual_file", "acknowledgements_file"]


@pytest.mark.parametrize("name", NAMES)
def test_a_new_database_in_a_folder_that_can_be_written_is_accepted(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in (str(tmp_path / "a.db"), "a.db"):
        check_files(Settings(**{name: path}))
    assert os.listdir(tmp_path) == []
    (tmp_path / "a.db").touch()
    check_files(Settings(**{name: "a.db"}))


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("missing/a.db", "the folder '.*missing': No such file or directory"),
        ("file/a.db", "the folder '.*file': Not a directory"),
        ("folder", "it is not a file"),
        ("link", "the folder '.*missing': No such file or directory"),
        ("/proc/a.db", "the folder '/proc': "),  # also for root
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_a_database_that_can_not_be_written_is_a_settings_error(name, path, fault, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("missing/a.db")
    error = f"^{name.upper()}='.*{path}' can't be used; allowed: an SQLite file, .* folder that can be written .{fault}"
    with pytest.raises(SettingsError, match=error):
        check_files(Settings(**{name: str(tmp_path / path)}))


def test_a_database_without_rights_is_a_settings_error(tmp_path, monkeypatch):
    (tmp_path / "a.db").touch(0o400)
    monkeypatch.setattr("os.access", lambda *_: False)  # root has the rights
    with pytest.raises(SettingsError, match="the file can't be read and written"):
        check_files(Settings(usual_file=str(tmp_path / "a.db")))
