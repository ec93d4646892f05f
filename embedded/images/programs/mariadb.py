"""Entry point of the image `mariadb`: make a database on an empty volume, then execute MariaDB.

    python3 mariadb.py [--datadir FOLDER]

Reads the variables that upstream's manifests set for MySQL's own image: MYSQL_ROOT_PASSWORD, which every
start makes the only password of `root`, and MYSQL_DATABASE, which is created if it is missing. A password is
never in an argument list: it is written to a file that only this user can read.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

_SERVER = "/usr/sbin/mariadbd"
_SCRIPTS = Path("/usr/share/mysql")
_SYSTEM_TABLES = (
    "mysql_system_tables.sql",
    "mysql_performance_tables.sql",
    "mysql_system_tables_data.sql",
    "maria_add_gis_sp_bootstrap.sql",
)
# One statement a line: so MariaDB reads them before it has tables.
_BEGIN = "CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket='root';\n"
# Upstream's tables have accounts of the machine's own user, which has no password here.
_END = "\nDELETE FROM mysql.global_priv WHERE User = 'root';\nDELETE FROM mysql.proxies_priv;\n"
_SCRATCH = Path("/tmp")  # noqa: S108  # the only writable folder beside the volume
_OPTIONS = (
    "--no-defaults",
    "--skip-name-resolve",
    "--innodb-buffer-pool-size=32M",
    "--innodb-log-file-size=16M",
    # Containers may not use the kernel's io_uring.
    "--innodb-use-native-aio=OFF",
    "--performance-schema=OFF",
)


def main(arguments: list[str]) -> NoReturn:
    """Make what is missing and become MariaDB."""
    password, database = os.environ.get("MYSQL_ROOT_PASSWORD"), os.environ.get("MYSQL_DATABASE")
    if not password or not database or (arguments and arguments[:1] != ["--datadir"]):
        raise SystemExit("mariadb.py [--datadir FOLDER] needs MYSQL_ROOT_PASSWORD and MYSQL_DATABASE")
    folder = Path(arguments[1] if arguments else "/var/lib/mysql")
    if not (folder / "mysql").is_dir():
        make_system_tables(folder)
    start = _SCRATCH / "start.sql"
    start.unlink(missing_ok=True)
    with os.fdopen(os.open(start, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(start_statements(password, database))
    os.environ.pop("MYSQL_ROOT_PASSWORD")
    command = [_SERVER, *_OPTIONS, f"--datadir={folder}", f"--init-file={start}"]
    command += [f"--socket={_SCRATCH}/mariadb.sock", f"--pid-file={_SCRATCH}/mariadb.pid"]
    os.execv(_SERVER, command)  # noqa: S606


def make_system_tables(folder: Path) -> None:
    """Fill an empty folder; an interrupted run leaves nothing that the next one would take for whole."""
    draft = folder.with_name(f".{folder.name}-draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    statements = "\n".join((_SCRIPTS / name).read_text(encoding="utf-8") for name in _SYSTEM_TABLES)
    subprocess.run(
        [_SERVER, *_OPTIONS, "--bootstrap", f"--datadir={draft}"],
        input=(_BEGIN + statements + _END).encode(),
        check=True,
    )
    if folder.exists():
        folder.rmdir()  # empty, or something else is there
    draft.rename(folder)


def start_statements(password: str, database: str) -> str:
    """Return what each start executes: each statement is one line, as MariaDB reads the file."""
    account = "'root'@'%'"
    lines = (
        f"CREATE DATABASE IF NOT EXISTS {_quoted(database, '`')};",
        f"CREATE OR REPLACE USER {account} IDENTIFIED BY {_quoted(password, chr(39))};",
        f"GRANT ALL PRIVILEGES ON *.* TO {account} WITH GRANT OPTION;",
    )
    return "\n".join(lines) + "\n"


def _quoted(text: str, quote: str) -> str:
    if any(character in text for character in ("\\", "\n", "\0")):
        raise ValueError("a name or password with a backslash or a line break can't be quoted")
    return f"{quote}{text.replace(quote, quote * 2)}{quote}"


if __name__ == "__main__":
    main(sys.argv[1:])
