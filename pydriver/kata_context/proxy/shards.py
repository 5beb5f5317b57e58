"""The map of shards: which database has which buckets. Each says so itself; a proxy has a copy."""

from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from time import monotonic, sleep
from typing import Any

import psycopg
from psycopg import conninfo, sql

from kata_context.driver.transport import secured
from kata_context.errors import KataError
from kata_context.proxy.functions import proxy_sql, read_functions

BUCKETS = 4096
PAUSE_SHARD = "update kata_data.bucket_range set is_paused = %s"
# A call that the old server has just refused may look only after the move.
PAUSE_ROUTE = """
update kata_proxy.bucket_range
set waits_until = case when %s then 'infinity' else clock_timestamp() + interval '10 s' end
where shard = %s"""
PAUSED = "select shard from kata_proxy.bucket_range where waits_until = 'infinity'"
# Transactions that may have been let in before a shard was paused. Proxies have one role, which sees its own.
OLDER = """
select a.pid from pg_stat_activity a
where a.datname = current_database() and a.pid <> pg_backend_pid() and a.xact_start <= %s
limit 1"""
HAS_CONTEXTS = """
select exists (select from kata.list_contexts(max_rows => 1, include_deleted => true))
  or exists (select from kata_data.name_claim)"""
PATIENCE = 5.0  # seconds for them to end; writes wait meanwhile
Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Shard:
    """A database of several.

    Parameters
    ----------
    number : its place in the map
    address : its connection string, without user and password
    buckets : its ranges, first and last of each
    problem : what is wrong with it; None if the shard says what the map says
    is_paused : whether its writes wait until it has moved
    """

    number: int
    address: str
    buckets: tuple[tuple[int, int], ...]
    problem: str | None = None
    is_paused: bool = False


def init(proxy: str, shards: Sequence[str]) -> list[Shard]:
    """Turn a database into a proxy, or bring its functions up to date; return its map.

    Parameters
    ----------
    proxy : connection string of the database, as a superuser
    shards : connection strings of the shards, by number, as the login role of the proxies, a member of
        kata_proxy; none to keep those of the map. New ones share the buckets equally, others have theirs

    Raises
    ------
    KataError : a shard lacks Kata Context or is another release; ranges overlap or leave a bucket out
    """
    with _connect(proxy) as connection, connection.transaction():
        dsns = list(shards) or _addresses(connection, with_user=True)
        if not dsns:
            raise KataError("the proxy has no shards yet", hint="name them: kata proxy init --shard DSN …")
        ranges = _ranges(dsns)
        with _connect(dsns[0]) as shard:
            functions = read_functions(shard)
        _make_server(connection, dsns)
        connection.execute(proxy_sql(functions).encode())
        _write_map(connection, ranges)
        connection.execute("grant usage on foreign server kata to kata_owner")
    return listed(proxy)


def add(proxy: str, dsn: str) -> list[Shard]:
    """Add a shard while none has contexts, share the buckets equally anew, and return the map.

    Writes wait meanwhile. Where it fails after the first change, they go on waiting until it is called again.

    Raises
    ------
    KataError : a shard has contexts, which stay where they are; the database is a shard already; as for init
    """
    with _connect(proxy) as connection:
        known = len(_map(connection))
        dsns = [*_addresses(connection, with_user=True), dsn]
    with _connect(dsn) as shard:
        if _value(shard, "select exists (select from kata_data.bucket_range where not is_paused)"):
            raise KataError(f"{_address(dsn)} is a shard already", hint="add an empty database")
    for number in range(known):
        _pause(proxy, number, is_paused=True)
    try:
        for each in dsns:
            _refuse_contexts(each)
    except KataError:
        for number in range(known):
            _pause(proxy, number, is_paused=False)
        raise
    for each, ranges in zip(dsns, _equal_ranges(len(dsns)), strict=True):
        with _connect(each) as shard, shard.transaction():
            shard.execute("delete from kata_data.bucket_range")
            _write_ranges(shard, ranges, is_paused=True)
    init(proxy, dsns)
    for number in range(len(dsns)):
        _pause(proxy, number, is_paused=False)
    return listed(proxy)


def move(proxy: str, number: int, dsn: str) -> list[Shard]:
    """Send the calls for a shard to another address, where the whole database is now; return the map.

    Raises
    ------
    KataError : the database there is not writable, or has not the buckets of the shard
    """
    with _connect(dsn) as shard:
        if _value(shard, "select pg_is_in_recovery()"):
            raise KataError("the database is a standby", hint="promote it first: pg_ctl promote")
        found = _own_ranges(shard)
    with _connect(proxy) as connection, connection.transaction():
        _dsn_of(connection, number)
        known = _map(connection)[number]
        if found != known:
            raise KataError(
                f"the database has buckets {_named(found)}, and shard {number} has {_named(known)}",
                hint="name the database that the shard has become",
            )
        option = sql.SQL("alter server kata options (set {} {})").format(
            sql.Identifier(f"p{number}"), sql.Literal(_address(dsn))
        )
        connection.execute(option)
        connection.execute(PAUSE_ROUTE, (False, number))
        with _connect(dsn) as shard:
            shard.execute(PAUSE_SHARD, (False,))
    return listed(proxy)


def pause(proxy: str, number: int, *, is_paused: bool = True) -> list[Shard]:
    """Have writes of a shard wait until it has moved, or go on without a move; return the map.

    Returns once the writes that were on their way have ended.

    Raises
    ------
    KataError : one does not end; the shard goes on
    """
    _pause(proxy, number, is_paused=is_paused)
    return listed(proxy)


def _pause(proxy: str, number: int, *, is_paused: bool) -> None:
    with _connect(proxy) as connection:
        dsn = _dsn_of(connection, number)
        with _connect(dsn) as shard:
            shard.execute(PAUSE_SHARD, (is_paused,))
            is_quiet = not is_paused or _is_quiet(shard)
            if not is_quiet:
                shard.execute(PAUSE_SHARD, (False,))
        connection.execute(PAUSE_ROUTE, (is_paused and is_quiet, number))
    if not is_quiet:
        raise KataError(
            f"a call on shard {number} does not end",
            hint="wait for it, or cancel it: pg_stat_activity of the shard shows it",
        )


def _dsn_of(connection: Connection, number: int) -> str:
    """Return the connection string of a shard."""
    dsns = _addresses(connection, with_user=True)
    if not 0 <= number < len(dsns):
        raise KataError(f"shard {number} is not in the map", hint="kata shard list shows those that are")
    return dsns[number]


def _is_quiet(shard: Connection) -> bool:
    """Wait until the calls of proxies that began before now have ended; return whether they have."""
    (now,) = shard.execute("select clock_timestamp()").fetchone() or (None,)
    deadline = monotonic() + PATIENCE
    while shard.execute(OLDER, (now,)).fetchone():
        if monotonic() > deadline:
            return False
        sleep(0.02)
    return True


def listed(proxy: str) -> list[Shard]:
    """Return the map of a proxy, compared with what the shards say."""
    with _connect(proxy) as connection:
        known = _map(connection)
        dsns = _addresses(connection, with_user=True)
        paused = {number for (number,) in connection.execute(PAUSED)}
    return [
        Shard(
            number,
            _address(dsn),
            tuple(known.get(number, [])),
            _problem(dsn, known.get(number, [])),
            number in paused,
        )
        for number, dsn in enumerate(dsns)
    ]


def _problem(dsn: str, known: list[tuple[int, int]]) -> str | None:
    try:
        with _connect(dsn) as shard:
            found = _own_ranges(shard)
    except (KataError, psycopg.Error) as error:
        return " ".join(str(error).split())
    return None if found == known else f"it has buckets {_named(found)}"


def _ranges(dsns: list[str]) -> list[list[tuple[int, int]]]:
    """Return the ranges of each shard; where none has any yet, they share the buckets equally."""
    found, releases = [], set()
    for dsn in dsns:
        with _connect(dsn) as shard:
            if (
                _value(
                    shard,
                    "select to_regprocedure('kata_data.enter(text,text,boolean,uuid,timestamptz,boolean)')",
                )
                is None
            ):
                raise KataError(
                    f"Kata Context is not installed in {_address(dsn)}", hint="run: kata migrate up"
                )
            if not _value(shard, "select pg_has_role('kata_proxy', 'member')"):
                raise KataError(
                    f"the role of {_address(dsn)} is not a member of kata_proxy",
                    hint="grant kata_proxy to it; it is the login role of the proxies",
                )
            releases.add(_value(shard, "select kata.version()"))
            found.append(_own_ranges(shard))
    if len(releases) > 1:
        raise KataError(
            f"the shards have releases {' and '.join(sorted(releases))}", hint="migrate all of them"
        )
    if not any(found):
        found = _equal_ranges(len(dsns))
        for dsn, ranges in zip(dsns, found, strict=True):
            if len(dsns) > 1:
                _refuse_contexts(dsn)
            with _connect(dsn) as shard:
                _write_ranges(shard, ranges)
    held = Counter(b for ranges in found for first, last in ranges for b in range(first, last + 1))
    if set(held.values()) != {1} or len(held) != BUCKETS:
        missing, twice = BUCKETS - len(held), sum(times > 1 for times in held.values())
        raise KataError(
            f"the shards do not have every bucket once: {missing} are missing, {twice} come twice",
            hint="name every shard; kata_data.bucket_range of each says which buckets it has",
        )
    return found


def _equal_ranges(count: int) -> list[list[tuple[int, int]]]:
    """Return the ranges of so many shards that share the buckets equally."""
    edges = [BUCKETS * number // count for number in range(count + 1)]
    return [[(first, after - 1)] for first, after in pairwise(edges)]


def _refuse_contexts(dsn: str) -> None:
    """Refuse a database that has contexts, or is about to."""
    with _connect(dsn) as shard:
        shard.execute("set kata.tenant = '*'")
        if _value(shard, HAS_CONTEXTS):
            raise KataError(
                f"{_address(dsn)} has contexts already, of any bucket",
                hint="shards start empty; a database with contexts can be the only shard",
            )


def _write_ranges(shard: Connection, ranges: list[tuple[int, int]], *, is_paused: bool = False) -> None:
    for first, last in ranges:
        shard.execute(
            "insert into kata_data.bucket_range values (int4range(%s, %s), %s)", (first, last + 1, is_paused)
        )


def _make_server(connection: Connection, dsns: list[str]) -> None:
    connection.execute("create extension if not exists plproxy")
    if _value(connection, "select count(*) from pg_foreign_server where srvname = 'kata'"):
        connection.execute("drop server kata cascade")
    options: list[sql.Composable] = [sql.SQL("modular_mapping '1'"), sql.SQL("connection_lifetime '1800'")]
    options += [
        sql.SQL("{} {}").format(sql.Identifier(f"p{number}"), sql.Literal(_address(dsn)))
        for number, dsn in enumerate(dsns)
    ]
    connection.execute(
        sql.SQL("create server kata foreign data wrapper plproxy options ({})").format(
            sql.SQL(", ").join(options)
        )
    )
    users = [
        {name: part for name, part in conninfo.conninfo_to_dict(dsn).items() if name in ("user", "password")}
        for dsn in dsns
    ]
    if any(user != users[0] for user in users):
        raise KataError("the shards have different users", hint="let proxies connect to all as one role")
    options = [sql.SQL("{} {}").format(sql.SQL(name), sql.Literal(part)) for name, part in users[0].items()]
    connection.execute(
        sql.SQL("create user mapping for public server kata options ({})").format(sql.SQL(", ").join(options))
    )


def _write_map(connection: Connection, ranges: list[list[tuple[int, int]]]) -> None:
    connection.execute("delete from kata_proxy.bucket_range")
    for number, own in enumerate(ranges):
        for first, last in own:
            connection.execute(
                "insert into kata_proxy.bucket_range values (int4range(%s, %s), %s)",
                (first, last + 1, number),
            )


def _map(connection: Connection) -> dict[int, list[tuple[int, int]]]:
    if _value(connection, "select to_regclass('kata_proxy.bucket_range')") is None:
        raise KataError("the database is not a proxy", hint="make it one: kata proxy init --shard DSN …")
    found: dict[int, list[tuple[int, int]]] = {}
    for shard, first, last in connection.execute(
        "select shard, lower(buckets), upper(buckets) - 1 from kata_proxy.bucket_range order by buckets"
    ):
        found.setdefault(shard, []).append((first, last))
    return found


def _own_ranges(shard: Connection) -> list[tuple[int, int]]:
    statement = "select lower(buckets), upper(buckets) - 1 from kata_data.bucket_range order by buckets"
    return [(first, last) for first, last in shard.execute(statement)]


def _addresses(connection: Connection, *, with_user: bool) -> list[str]:
    """Return the connection strings of the map, by number."""
    found = connection.execute(
        "select o.option_name, o.option_value from pg_foreign_server s, pg_options_to_table(s.srvoptions) o "
        "where s.srvname = 'kata' and o.option_name ~ '^p[0-9]+$'"
    ).fetchall()
    user = connection.execute(
        "select o.option_name, o.option_value from pg_user_mappings m, pg_options_to_table(m.umoptions) o "
        "where m.srvname = 'kata'"
    ).fetchall()
    by_number = sorted((int(name[1:]), dsn) for name, dsn in found)
    return [conninfo.make_conninfo(dsn, **dict(user if with_user else [])) for _, dsn in by_number]


def _address(dsn: str) -> str:
    """Return a connection string without user and password, which the user mapping has."""
    parts = {n: p for n, p in conninfo.conninfo_to_dict(dsn).items() if n not in ("user", "password")}
    return conninfo.make_conninfo("", **parts)


def _named(ranges: list[tuple[int, int]]) -> str:
    return ", ".join(f"{first}–{last}" for first, last in ranges) or "none"


def _value(connection: Connection, statement: str) -> Any:
    row = connection.execute(statement.encode()).fetchone()
    return row and row[0]


def _connect(dsn: str) -> "closing[Connection]":
    return closing(psycopg.connect(autocommit=True, **secured(dsn)[0]))
