"""plpgsql_check: where it comes from, and a database of PostgreSQL 15 in which it reads our functions.

Debian has the extension for PostgreSQL 15 only. Our functions load there: they need of PostgreSQL 16 only
the option SET of grants, for the owners of the schemas, and the function pg_input_is_valid.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

from kata_context.migrate.bundle import bundle
from support.pgtap import cache_folder

BINARIES = Path("/usr/lib/postgresql/15/bin")
PACKAGE = "postgresql-15-plpgsql-check"
SCHEMA = "plpgsql_check"

# Text of the SQL for PostgreSQL 16, and its replacement on 15.
OLDER = (
    ("server_version_num')::integer < 160000", "server_version_num')::integer < 150000"),
    ("pg_has_role(current_user, v_role, 'set')", "pg_has_role(current_user, v_role, 'member')"),
    ("'grant %I to current_user with inherit true, set true'", "'grant %I to current_user'"),
)
MISSING = """
create function pg_catalog.pg_input_is_valid(input text, type text) returns boolean
language plpgsql stable as $$
begin
  execute format('select %L::%s', input, type);
  return true;
exception
  when data_exception then return false;
end
$$;
"""


class UnavailableError(Exception):
    """There is no server with plpgsql_check on this machine, and none can be made."""


def find() -> Path:
    """Return the folder of the unpacked package, fetched at need.

    Raises
    ------
    UnavailableError : the message says what is missing
    """
    if not (BINARIES / "postgres").is_file():
        raise UnavailableError(f"no PostgreSQL 15 in {BINARIES}: apt-get install postgresql-15")
    folder = cache_folder() / PACKAGE
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as place:
            try:
                subprocess.run(["apt-get", "download", PACKAGE], cwd=place, check=True, capture_output=True)
                (package,) = Path(place).glob("*.deb")
                unpacked = Path(place, "unpacked")
                subprocess.run(["dpkg-deb", "-x", package, unpacked], check=True, capture_output=True)
            except (OSError, ValueError, subprocess.SubprocessError) as error:
                raise UnavailableError(f"apt-get cannot download {PACKAGE}: {error}") from None
            unpacked.rename(folder)
    return folder


def copy_library(package: Path, folder: Path) -> Path:
    """Copy the library to a folder that the server's account can read, and return where it is."""
    library = folder / "plpgsql_check.so"
    shutil.copy(package / "usr/lib/postgresql/15/lib/plpgsql_check.so", library)
    library.chmod(0o644)
    return library


def load(package: Path, library: Path) -> str:
    """Return the SQL that makes the extension's functions, in a schema of its own."""
    (script,) = (package / "usr/share/postgresql/15/extension").glob("plpgsql_check--*.sql")
    text = script.read_text().replace("MODULE_PATHNAME", str(library)).replace("@extschema@", SCHEMA)
    lines = [line for line in text.splitlines() if not line.startswith("\\")]
    return "\n".join(
        [f"create schema {SCHEMA};", f"set search_path = {SCHEMA};", *lines, "reset search_path;"]
    )


def install() -> str:
    """Return the SQL that installs our schemas on PostgreSQL 15, for psql."""
    text = bundle()
    for newer, older in OLDER:
        if text.count(newer) != 1:
            raise ValueError(f"the SQL for PostgreSQL 16 has {text.count(newer)} times: {newer}")
        text = text.replace(newer, older)
    return MISSING + text
