"""The entry point of the image `mariadb`: what it executes, and where the password is."""

import os
import stat

import pytest

from embedded.images.catalog import RECIPES
from embedded.images.programs import mariadb


class BecameError(Exception):
    """Another program was executed in place of this one."""


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Stand in for MariaDB: it writes the folder of a database, and is executed."""
    ran: list[tuple[list[str], str]] = []

    def run(command, *, input, check):
        assert check
        folder = next(each.partition("=")[2] for each in command if each.startswith("--datadir="))
        (tmp_path / folder / "mysql").mkdir()
        ran.append((command, input.decode()))

    def become(program, command):
        ran.append((command, program))
        raise BecameError

    (tmp_path / "scripts").mkdir()
    for name in mariadb._SYSTEM_TABLES:
        (tmp_path / "scripts" / name).write_text(f"-- {name}\n")
    monkeypatch.setattr(mariadb, "_SCRIPTS", tmp_path / "scripts")
    monkeypatch.setattr(mariadb, "_SCRATCH", tmp_path)
    monkeypatch.setattr(mariadb.subprocess, "run", run)
    monkeypatch.setattr(os, "execv", become)
    monkeypatch.setenv("MYSQL_ROOT_PASSWORD", "canary-7Hq")
    monkeypatch.setenv("MYSQL_DATABASE", "katib")
    return ran


def start(tmp_path) -> None:
    with pytest.raises(BecameError):
        mariadb.main(["--datadir", str(tmp_path / "volume" / "data")])


def test_an_empty_volume_gets_system_tables_once(tmp_path, machine):
    start(tmp_path)
    assert [len(command) for command, _ in machine] == [9, 11]
    statements = machine[0][1]
    assert [name for name in mariadb._SYSTEM_TABLES if name not in statements] == []
    assert statements.index("CREATE DATABASE mysql;") < statements.index("DELETE FROM mysql.global_priv")
    os.environ["MYSQL_ROOT_PASSWORD"] = "canary-7Hq"
    start(tmp_path)
    assert len(machine) == 3, "the second time it is only started"


def test_what_an_interrupted_start_left_is_made_again(tmp_path, machine):
    (tmp_path / "volume" / ".data-draft" / "mysql").mkdir(parents=True)
    (tmp_path / "volume" / "data").mkdir()
    start(tmp_path)
    assert (tmp_path / "volume" / "data" / "mysql").is_dir()
    assert not (tmp_path / "volume" / ".data-draft").exists()


def test_the_password_is_in_a_private_file_alone(tmp_path, machine):
    start(tmp_path)
    assert "canary-7Hq" not in str(machine)
    assert "MYSQL_ROOT_PASSWORD" not in os.environ
    file = tmp_path / "start.sql"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "IDENTIFIED BY 'canary-7Hq';" in file.read_text()


def test_a_quote_ends_no_text():
    statements = mariadb.start_statements("a'b", "c`d").splitlines()
    assert statements[0] == "CREATE DATABASE IF NOT EXISTS `c``d`;"
    assert statements[1].endswith("IDENTIFIED BY 'a''b';")
    for wrong in ("a\\b", "a\nb"):
        with pytest.raises(ValueError, match="can't be quoted"):
            mariadb.start_statements(wrong, "c")


@pytest.mark.parametrize("missing", ["MYSQL_ROOT_PASSWORD", "MYSQL_DATABASE"])
def test_without_password_or_database_nothing_starts(tmp_path, machine, monkeypatch, missing):
    monkeypatch.setenv(missing, "")
    with pytest.raises(SystemExit, match="needs MYSQL_ROOT_PASSWORD"):
        mariadb.main([])
    assert machine == []


def test_the_image_has_the_program():
    layers = RECIPES["mariadb"]().layers
    assert [layer.name for layer in layers][1:] == ["MariaDB", "mariadb"]
