"""Everything as one file, for installing with psql alone."""

from collections.abc import Iterator
from pathlib import Path

from kata_context import __version__
from kata_context.driver.transport import OLDEST_SERVER
from kata_context.migrate.contract import RECORD_CONTRACT
from kata_context.migrate.files import OWNER, Migration, SqlFile, read_tree, sql_root
from kata_context.migrate.functions import record_statement
from kata_context.migrate.session import GUARD, READING, extension_path, literal

_SETTINGS = {"client_min_messages": "warning", "lock_timeout": "5s", **READING}
_BEGIN = "".join(
    ["begin;\n", *(f"set local {name} = {literal(value)};\n" for name, value in _SETTINGS.items())]
)

_HEAD = f"""-- Kata Context {__version__} in one file for psql:
--   psql -v ON_ERROR_STOP=1 -f kata.sql
-- Does what `kata migrate up` does to an empty database, and records the same history.

\\set ON_ERROR_STOP on
\\encoding UTF8
{_BEGIN}
do $$
begin
  if current_setting('server_version_num')::integer < {OLDEST_SERVER * 10000} then
    raise exception 'PostgreSQL % is too old: {OLDEST_SERVER} or newer is needed',
      current_setting('server_version');
  end if;
  if current_setting('server_encoding') <> 'UTF8' then
    raise exception 'the database % has the encoding %: UTF8 is needed',
      current_database(), current_setting('server_encoding')
      using hint = 'Create one: create database NAME encoding ''UTF8'' template template0';
  end if;
  -- Keeps `kata migrate` out until the end of the transaction.
  begin
    create schema {GUARD};
    drop schema {GUARD};
  exception
    when lock_not_available then
      raise exception 'another migration is running' using hint = 'Wait for it, then run again.';
  end;
  if to_regclass('kata_data.migration') is not null then
    raise exception 'Kata Context is already installed in this database'
      using hint = 'Bring it up to date with `kata migrate up`.';
  end if;
end
$$;
"""

_FOOT = "\ncommit;\n"

_CREATE_EXTENSIONS = """do $$
declare
  v_extension name;
begin
  set local search_path = public;
  for v_extension in select a.name from pg_available_extensions a where a.name = any ({names}) loop
    begin
      execute format('create extension if not exists %I', v_extension);
    exception
      when others then
        raise warning 'extension % could not be created: %', v_extension, sqlerrm;
    end;
  end loop;
end
$$;
"""


def bundle(root: Path | None = None) -> str:
    """Return one SQL script for psql that installs everything.

    It runs in one transaction, except for migrations that cannot.

    Parameters
    ----------
    root : folder of the SQL files; default: the package's
    """
    tree = read_tree(root or sql_root())
    parts = [_HEAD]
    for migration in tree.migrations:
        file = migration.up
        applied = [*_body(file, file.owner if migration.number > 1 else None), _record(migration)]
        skipped = [_record(migration, "a required extension was missing when psql installed this")]
        parts += [f"\n-- {file.name}\n", *_if_extensions(file, applied, skipped)]
    parts.append("set local check_function_bodies = off;\n")
    for file in tree.functions:
        record = f"set local role {OWNER};\n{record_statement([file])};\nset local role none;\n"
        parts += [f"\n-- {file.name}\n", *_if_extensions(file, [*_body(file, file.owner), record], [])]
    if any(RECORD_CONTRACT in file.defines for file in tree.functions):
        recording = f"do $$\nbegin\n  perform {RECORD_CONTRACT}('[]');\nend\n$$;\n"
        parts.append(f"set local role {OWNER};\n{recording}set local role none;\n")
    return "".join([*parts, _FOOT])


def _body(file: SqlFile, role: str | None) -> Iterator[str]:
    body = f"{file.body.decode().rstrip()}\n"
    search_path = f"select set_config('search_path', {extension_path(file)}, {{local}}) as kata_path \\gset\n"
    if file.no_transaction:
        yield f"commit;\nset role {file.owner};\n{search_path.format(local='false')}"
        yield f"{body}reset role;\nreset search_path;\n{_BEGIN}"
        return
    if file.extensions:
        yield search_path.format(local="true")
    yield f"set local role {role};\n{body}" if role else body
    yield "set local role none;\nset local search_path = '';\n"


def _if_extensions(file: SqlFile, then: list[str], otherwise: list[str]) -> Iterator[str]:
    if not file.extensions:
        yield from then
        return
    names = f"array[{', '.join(map(literal, file.extensions))}]::name[]"
    if otherwise:
        yield f"{_CREATE_EXTENSIONS.format(names=names)}set local search_path = '';\n"
    found = f"from pg_extension where extname = any ({names})"
    yield f"select count(*) = {len(file.extensions)} as kata_met {found} \\gset\n"
    yield from ["\\if :kata_met\n", *then]
    if otherwise:
        yield from ["\\else\n", *otherwise]
    yield "\\endif\n"


def _record(migration: Migration, reason: str | None = None) -> str:
    values = [
        migration.name,
        migration.up.checksum,
        migration.down.checksum,
        "skipped" if reason else "applied",
    ]
    return f"""set local role {OWNER};
insert into kata_data.migration (number, name, up_checksum, down_checksum, status, reason)
values ({migration.number}, {", ".join(map(literal, values))}, {literal(reason) if reason else "null"});
set local role none;
"""
