"""Function files: the database gets exactly the functions, views and policies that they define."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import errors

from kata_context.errors import KataError
from kata_context.migrate import contract
from kata_context.migrate.files import OWNER, PRIVILEGES, SqlFile, Tree
from kata_context.migrate.session import (
    Connection,
    explain,
    extension_path,
    has_history,
    literal,
    naming,
    run,
    transaction,
    unmet,
)

_UNCHANGED = "no function was changed"

# Function files define functions, aggregates, views and policies of the two schemas.
_OBJECTS = """
select o.classid, o.objid, o.name, o.identity, o.owner, o.row_version, o.drop_statement,
  encode(sha256(convert_to(concat_ws(chr(10), o.owner, o.definition), 'UTF8')), 'hex') as checksum
from (
  select 'pg_proc'::regclass::oid as classid, p.oid as objid,
    format('%s.%s', n.nspname, p.proname) as name,
    format('%s.%s(%s)', n.nspname, p.proname, oidvectortypes(p.proargtypes)) as identity,
    pg_get_userbyid(p.proowner)::text as owner, concat_ws(' ', p.xmin, p.ctid) as row_version,
    format('drop routine %s restrict', p.oid::regprocedure) as drop_statement,
    case p.prokind
      when 'a' then concat_ws(
        ' ', pg_get_function_arguments(p.oid), a.aggtransfn, format_type(a.aggtranstype, null),
        a.aggfinalfn, a.agginitval)
      else pg_get_functiondef(p.oid)
    end as definition
  from pg_proc p
  join pg_namespace n on n.oid = p.pronamespace
  left join pg_aggregate a on a.aggfnoid = p.oid
  where n.nspname in ('kata', 'kata_data')
    and p.prokind in ('f', 'p', 'a')
    and not exists (
      select from pg_depend d
      where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
  union all
  select c.tableoid, c.oid, x.name, x.name, pg_get_userbyid(c.relowner)::text, concat_ws(' ', c.xmin, c.ctid),
    format('drop view %s restrict', c.oid::regclass), concat_ws(' ', pg_get_viewdef(c.oid), c.reloptions)
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  cross join lateral (select format('view %s.%s', n.nspname, c.relname) as name) x
  where n.nspname in ('kata', 'kata_data')
    and c.relkind = 'v'
    and not exists (
      select from pg_depend d
      where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
  union all
  select p.tableoid, p.oid, x.name, x.name, pg_get_userbyid(c.relowner)::text, concat_ws(' ', p.xmin, p.ctid),
    format('drop policy %I on %s', p.polname, c.oid::regclass),
    concat_ws(' ', p.polpermissive, p.polcmd, p.polroles::regrole[],
      pg_get_expr(p.polqual, c.oid), pg_get_expr(p.polwithcheck, c.oid))
  from pg_policy p
  join pg_class c on c.oid = p.polrelid
  join pg_namespace n on n.oid = c.relnamespace
  cross join lateral (select format('policy %s on %s.%s', p.polname, n.nspname, c.relname) as name) x
  where n.nspname in ('kata', 'kata_data')
) o
"""

# The dependents of some objects, direct and indirect: of a view by way of its rule and its row type.
_DEPENDENTS = """
with recursive dependent(classid, objid) as (
  select a.classid, a.objid from unnest(%s::oid[], %s::oid[]) a(classid, objid)
  union
  select case when r.oid is null then d.classid else 'pg_class'::regclass end, coalesce(r.ev_class, d.objid)
  from dependent t
  join pg_depend d on d.refclassid = t.classid and d.refobjid = t.objid and d.deptype in ('n', 'a', 'i')
  left join pg_rewrite r on d.classid = 'pg_rewrite'::regclass and r.oid = d.objid
)
select t.classid, t.objid, pg_describe_object(t.classid, t.objid, 0)
from dependent t
where t.classid <> 'pg_type'::regclass
"""

# Aligned: `functions`, and in definition_checksum a checksum for each of them, so that drift has a name.
_RECORD = f"""
insert into kata_data.function_file as t (path, checksum, functions, definition_checksum)
select f.path, f.checksum,
  coalesce(array_agg(o.identity order by o.identity collate "C") filter (where o.identity is not null),
    array[]::text[]),
  coalesce(string_agg(o.checksum, ' ' order by o.identity collate "C"), '')
from jsonb_to_recordset({{files}}::jsonb) f(path text, checksum text, defines text[])
left join ({_OBJECTS.strip()}) o on o.name = any (f.defines)
group by f.path, f.checksum
on conflict on constraint function_file_pkey do update
set checksum = excluded.checksum, functions = excluded.functions,
  definition_checksum = excluded.definition_checksum, applied_at = excluded.applied_at
"""

# CREATE OR REPLACE fails: another result, other parameter names, fewer defaults; other columns of a view; a
# function in place of a procedure; a comment by name alone while the old signature still exists.
_CANNOT_REPLACE = (
    errors.InvalidFunctionDefinition,
    errors.InvalidTableDefinition,
    errors.WrongObjectType,
    errors.AmbiguousFunction,
)


@dataclass(frozen=True, slots=True)
class Drift:
    """A function, view, policy, or fact of the security contract, that differs from the installed one.

    Parameters
    ----------
    name : as in `kata.append(uuid, jsonb, bigint, text)` or `table kata_data.message: row security`
    state : changed, missing, unknown if no file defines it, or unexpected if the contract does not have it
    file : the file that defines it, if one does; or `the security contract`
    """

    name: str
    state: str
    file: str | None


@dataclass(frozen=True, slots=True)
class Plan:
    """The work on function files.

    Parameters
    ----------
    moved : the new path by each recorded path whose file was moved; only the record changes
    install : files to run
    gone : recorded paths whose file no longer exists, each with the fate of its objects
    skipped : files that lack an extension, each with the reason
    """

    moved: dict[str, str]
    install: tuple[SqlFile, ...]
    gone: dict[str, str]
    skipped: tuple[tuple[SqlFile, str], ...]

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be done."""
        return not (self.moved or self.install or self.gone)


@dataclass(frozen=True, slots=True)
class _Record:
    """A row of kata_data.function_file: the checksum of a file and the names that it defined."""

    checksum: str
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Object:
    """A function, view or policy in the database; row_version changes when it is replaced."""

    classid: int
    objid: int
    name: str
    identity: str
    owner: str
    row_version: str
    drop_statement: str
    checksum: str


def make_plan(
    connection: Connection,
    tree: Tree,
    *,
    reinstall: bool = False,
    migrated: bool = False,
    dry_run: bool = False,
) -> Plan:
    """Compare the files with the recorded ones and with the objects in the database.

    Parameters
    ----------
    reinstall : plan every file
    migrated : whether this run applied migrations; the privileges are then granted again
    dry_run : whether migrations were only simulated; available extensions then count as created
    """
    recorded = _recorded_files(connection)
    home = {name for file in tree.functions for name in file.defines}
    present = {o.name for o in _objects(connection, home)}
    moved = _find_moves(recorded, tree.functions)
    # A moved file may have taken the path of one that no longer exists.
    occupied = {file.name for file in tree.functions} - set(moved.values())
    gone = {
        path: _fate(recorded[path].names - home) for path in sorted(recorded.keys() - moved.keys() - occupied)
    }
    checksums = {moved.get(path, path): row.checksum for path, row in recorded.items() if path not in gone}
    install: list[SqlFile] = []
    skipped: list[tuple[SqlFile, str]] = []
    for file in tree.functions:
        if reason := unmet(connection, file, dry_run=dry_run):
            skipped.append((file, reason))
            continue
        is_known = checksums.get(file.name) == file.checksum
        follows = file.name == PRIVILEGES and (install or gone or migrated)
        if reinstall or not is_known or follows or not present.issuperset(file.defines):
            install.append(file)
    return Plan(moved, tuple(install), gone, tuple(skipped))


def _fate(lost: frozenset[str]) -> str:
    """Say what becomes of the objects of a file that is gone, given those that no file defines now."""
    return f"drops {', '.join(sorted(lost))}" if lost else "drops nothing: other files define its objects"


def _find_moves(recorded: dict[str, _Record], files: Sequence[SqlFile]) -> dict[str, str]:
    """Return the new path by each recorded path whose file was moved.

    A moved file has the checksum that is recorded for another path. If it was edited on the way, it defines
    every name that is recorded for a path without a file.
    """
    paths = {file.name for file in files}
    unrecorded = {
        file.name: file
        for file in files
        if file.name not in recorded or recorded[file.name].checksum != file.checksum
    }
    unmoved = paths - unrecorded.keys()
    moved: dict[str, str] = {}
    for path, row in sorted(recorded.items()):
        if path in unmoved:
            continue
        if new := next((f.name for f in unrecorded.values() if f.checksum == row.checksum), None):
            moved[path] = new
            del unrecorded[new]
    for path, row in sorted(recorded.items()):
        if path in unmoved or path in moved or not row.names:
            continue
        edited = (f.name for f in unrecorded.values() if f.name not in recorded and row.names <= {*f.defines})
        if new := next(edited, None):
            moved[path] = new
            del unrecorded[new]
    return moved


def install(connection: Connection, tree: Tree, plan: Plan, lock_timeout: str) -> None:
    """Carry out a plan in one transaction; a moved file only has its record changed.

    Raises
    ------
    KataError : a file fails, a body is not valid, or an object that must be dropped has foreign dependents
    """
    home = {name: file for file in tree.functions for name in file.defines}
    done: dict[str, SqlFile] = {}
    with transaction(connection, lock_timeout):
        before = contract.facts(connection)
        if plan.install or plan.gone:
            done = _run_files(connection, tree, plan, home)
            _validate(connection, home)
        connection.execute(f"set local role {OWNER}".encode())
        connection.execute(
            "delete from kata_data.function_file f where f.path = any (%s)", (list(plan.gone),)
        )
        _record_moves(connection, plan.moved)
        if done:
            connection.execute(record_statement(done.values()).encode())
        contract.record(connection, before)


def _run_files(
    connection: Connection, tree: Tree, plan: Plan, home: dict[str, SqlFile]
) -> dict[str, SqlFile]:
    """Run the files of a plan, and those whose objects had to be dropped for them; drop what no file defines.

    Returns
    -------
    the files that ran, by name
    """
    position = {file.name: index for index, file in enumerate(tree.functions)}
    recorded = _recorded_names(connection)
    # Off while files run: a body may name a function of a later file. All bodies are validated at the end.
    connection.execute("set local check_function_bodies = off")
    waiting = {file.name: file for file in plan.install}
    done: dict[str, SqlFile] = {}
    while waiting:
        file = waiting.pop(min(waiting, key=position.__getitem__))
        done[file.name] = file
        with naming(connection, file, _UNCHANGED):
            dropped = _install_file(connection, file, home.keys() | recorded)
        waiting |= {home[name].name: home[name] for name in dropped if name in home}
    _drop(connection, _objects(connection, recorded - home.keys()), home.keys() | recorded)
    return done


def _record_moves(connection: Connection, moved: dict[str, str]) -> None:
    """Change the recorded paths of moved files, by way of paths that no file has: files may trade places."""
    between = "update kata_data.function_file f set path = '/' || f.path where f.path = any (%s)"
    connection.execute(between.encode(), (list(moved),))
    connection.execute(
        """
        update kata_data.function_file f
        set path = m.new_path
        from unnest(%s::text[], %s::text[]) m(old_path, new_path)
        where f.path = '/' || m.old_path
        """,
        (list(moved), list(moved.values())),
    )


def record_statement(files: Iterable[SqlFile]) -> str:
    """Return the statement that records files, which have just run."""
    rows = [{"path": file.name, "checksum": file.checksum, "defines": file.defines} for file in files]
    return _RECORD.strip().format(files=literal(json.dumps(rows)))


def drop_all(connection: Connection) -> None:
    """Drop all objects that function files have defined, and the records of the files."""
    recorded = _recorded_names(connection)
    _drop(connection, _objects(connection, recorded), recorded)
    connection.execute("delete from kata_data.function_file")


def find_drift(connection: Connection) -> list[Drift]:
    """Compare the objects in the database with the recorded ones."""
    if not has_history(connection):
        return []
    present = {o.identity: o for o in _objects(connection)}
    found: list[Drift] = []
    for path, identities, checksums in connection.execute(
        "select f.path, f.functions, f.definition_checksum from kata_data.function_file f order by f.path"
    ):
        for identity, checksum in zip(identities, checksums.split(), strict=True):
            there = present.pop(identity, None)
            if there is None:
                found.append(Drift(identity, "missing", path))
            elif there.checksum != checksum:
                found.append(Drift(identity, "changed", path))
    # Functions of triggers, defaults and constraints belong to tables, which migrations create.
    of_tables = {
        row[0]
        for row in connection.execute(
            """
            select d.refobjid
            from pg_depend d
            where d.refclassid = 'pg_proc'::regclass
              and d.classid not in ('pg_proc'::regclass, 'pg_rewrite'::regclass, 'pg_policy'::regclass)
            """
        )
    }
    found += (
        Drift(identity, "unknown", None)
        for identity, there in sorted(present.items())
        if there.objid not in of_tables
    )
    found += (
        Drift(name, state, "the security contract") for name, state in contract.find_breaches(connection)
    )
    return found


def _recorded_files(connection: Connection) -> dict[str, _Record]:
    """Return the recorded files by path."""
    if not has_history(connection):
        return {}
    rows = connection.execute("select f.path, f.checksum, f.functions from kata_data.function_file f")
    return {path: _Record(checksum, frozenset(map(_name, identities))) for path, checksum, identities in rows}


def _recorded_names(connection: Connection) -> set[str]:
    return {name for row in _recorded_files(connection).values() for name in row.names}


def _name(identity: str) -> str:
    return identity.partition("(")[0]


def _objects(connection: Connection, names: Iterable[str] | None = None) -> list[_Object]:
    """Return the objects that function files can define, all of them or those with one of the names."""
    wanted = "" if names is None else f"where o.name = any (array[{', '.join(map(literal, names))}]::text[])"
    return [_Object(*row) for row in connection.execute(f"{_OBJECTS}{wanted}".encode())]


def _install_file(connection: Connection, file: SqlFile, ours: set[str]) -> set[str]:
    """Run a file, so that each name that it defines ends with one signature.

    Returns
    -------
    names of the dropped objects that the file does not define
    """
    before = _objects(connection, file.defines)
    dropped: set[str] = set()
    if any(o.owner != file.owner for o in before) or not _replaces(connection, file):
        dropped |= _drop(connection, before, ours)
        before = []
        with connection.transaction():
            run(connection, file, file.owner)
    old = {(o.objid, o.row_version) for o in before}
    now = _objects(connection, file.defines)
    replaced = {o.name for o in now if (o.objid, o.row_version) not in old}
    dropped |= _drop(
        connection, [o for o in now if o.name in replaced and (o.objid, o.row_version) in old], ours
    )
    left = [o.name for o in _objects(connection, file.defines)]
    for name in file.defines:
        if left.count(name) != 1:
            raise KataError(
                f"{file.name} leaves {left.count(name) or 'no'} signatures of {name}",
                f"{_UNCHANGED}; a name has exactly one",
            )
    return dropped


def _replaces(connection: Connection, file: SqlFile) -> bool:
    """Run a file; return whether the existing objects could be replaced."""
    try:
        with connection.transaction():
            run(connection, file, file.owner)
    except _CANNOT_REPLACE:
        return False
    return True


def _drop(connection: Connection, targets: Sequence[_Object], ours: set[str]) -> set[str]:
    """Drop objects and, before them, their dependents; refuse if a dependent is not from a function file.

    Parameters
    ----------
    ours : names that files define or defined, which may be dropped

    Returns
    -------
    names of the dependents that were dropped
    """
    if not targets:
        return set()
    known = {(o.classid, o.objid): o for o in _objects(connection, ours)}
    doomed = {(o.classid, o.objid): o for o in targets}
    foreign = []
    for classid, objid, description in connection.execute(
        _DEPENDENTS.encode(), ([o.classid for o in targets], [o.objid for o in targets])
    ):
        if (classid, objid) in known:
            doomed[classid, objid] = known[classid, objid]
        elif (classid, objid) not in doomed and not description.startswith("rule "):
            foreign.append(description)
    if foreign:
        raise KataError(
            f"{', '.join(sorted(o.identity for o in targets))} must be dropped, but is used by "
            f"{', '.join(sorted(foreign))}",
            f"{_UNCHANGED}; drop the dependents, run again, and create them again",
        )
    # In an order that their dependencies allow, found by trying.
    waiting = list(doomed.values())
    while waiting:
        kept = []
        for candidate in waiting:
            try:
                with connection.transaction():
                    connection.execute(candidate.drop_statement.encode())
            except errors.DependentObjectsStillExist:
                kept.append(candidate)
        if len(kept) == len(waiting):
            raise KataError(f"{kept[0].identity} cannot be dropped, others depend on it", _UNCHANGED)
        waiting = kept
    return {o.name for o in doomed.values()} - {o.name for o in targets}


def _validate(connection: Connection, home: dict[str, SqlFile]) -> None:
    """Let the languages check all bodies: SQL in full, PL/pgSQL syntax and types.

    CREATE FUNCTION calls the same validators; they leave the functions untouched. Unchanged functions are
    checked, too: an object that they name may no longer exist.
    """
    connection.execute("set local check_function_bodies = on")
    for name, identity, validator, oid, search_path in connection.execute(
        """
        select format('%%s.%%s', n.nspname, p.proname), p.oid::regprocedure::text,
          l.lanvalidator::regproc::text, p.oid,
          substring(array_to_string(p.proconfig, chr(10)) from '(?n)^search_path=(.*)$')
        from pg_proc p
        join pg_namespace n on n.oid = p.pronamespace
        join pg_language l on l.oid = p.prolang
        where format('%%s.%%s', n.nspname, p.proname) = any (%s) and l.lanvalidator <> 0 and p.prokind <> 'a'
        """,
        (list(home),),
    ).fetchall():
        try:
            path = extension_path(home[name]) if search_path is None else literal(search_path)
            connection.execute(f"select set_config('search_path', {path}, true)".encode())
            connection.execute(f"select {validator}(%s)".encode(), (oid,))
        except psycopg.Error as error:
            raise KataError(
                f"{home[name].name}: {identity} is not valid: {explain(error)[0]}",
                f"{_UNCHANGED}; correct the file and run again",
            ) from error
    connection.execute("set local search_path = ''")
