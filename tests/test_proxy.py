"""A proxy in front of four shards answers as a single database does."""

import json
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from kata_context.errors import KataError
from kata_context.proxy import shards
from kata_context.proxy.functions import Function, proxy_sql, read_functions
from kata_context.proxy.routes import route_of
from support.commands import kata as command
from support.proxies import LOGIN, Proxy

SIGNATURES = """
select p.proname::text, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid), p.provolatile,
  p.proargnames, obj_description(p.oid, 'pg_proc'), p.prosecdef, p.proconfig[1],
  array(
    select a.grantee::regrole::text from aclexplode(p.proacl) a
    where a.grantee::regrole::text ~ '^kata_(reader|writer|admin|service)$' order by 1)
from pg_proc p where p.pronamespace = 'kata'::regnamespace order by 1"""
# An argument of each type, in the tests that call every function.
LITERALS = {
    "text": "'x'", "integer": "1", "bigint": "1", "numeric": "1", "real": "1", "double precision": "1",
    "boolean": "false", "json": "'[]'", "jsonb": "'[]'", "interval": "'1 day'", "text[]": "'{x}'",
    "timestamp with time zone": "now()", "bigint[]": "'{1}'", "integer[]": "'{1}'", "real[]": "'{1}'",
    "uuid[]": "'{}'", "int8multirange": "'{[1,2)}'",
}  # fmt: skip
Connection = psycopg.Connection[Any]


@pytest.fixture
def functions(dsn: str) -> list[Function]:
    """The functions of a shard."""
    with psycopg.connect(dsn) as connection:
        return read_functions(connection)


@pytest.fixture
def tenant() -> str:
    """A tenant that no other test has."""
    return f"tenant {uuid.uuid4().hex[:8]}"


@pytest.fixture
def connect(proxy: Proxy, tenant: str) -> Iterator[Callable[..., Connection]]:
    """Connect to the proxy for the tenant, or as another role."""
    opened: list[Connection] = []

    def open_connection(user: str = "server_role", *, tenant: str | None = tenant) -> Connection:
        opened.append(proxy.connect(user, tenant))
        return opened[-1]

    yield open_connection
    for connection in opened:
        connection.close()


@pytest.fixture
def conn(connect: Callable[..., Connection]) -> Connection:
    """A connection to the proxy, for the tenant."""
    return connect()


def one(connection: Connection, call: str, *arguments: object) -> Any:
    """Return the only value of a call."""
    row = connection.execute(f"select {call} as value".encode(), arguments).fetchone()
    return row["value"] if isinstance(row, dict) else row and row[0]


def refusal(connection: Connection, statement: str, *arguments: object) -> list[Any]:
    """Return SQLSTATE, MESSAGE, DETAIL and HINT of a statement's error; nulls if there was none."""
    try:
        connection.execute(statement.encode(), arguments)
    except psycopg.Error as error:
        diag = error.diag
        return [error.sqlstate, diag.message_primary, diag.message_detail or "", diag.message_hint or ""]
    return [None]


def test_every_function_has_a_route(functions: list[Function]) -> None:
    kinds = {function.name: function.route.kind for function in functions}
    assert kinds["usage"] == kinds["commit_compaction"] == "id"
    assert kinds["merge"] == "pair"
    # Their calls belong to one transaction, which on a shard each call is by itself.
    assert kinds["export_family"] == kinds["import_family"] == "refused"
    assert 'kata_px."usage"' in proxy_sql(functions)


def test_a_function_without_a_route_is_refused() -> None:
    with pytest.raises(KataError, match=r"kata\.novel has no route"):
        route_of("novel", ["name"])


def test_the_functions_have_the_signatures_comments_and_grants_of_a_shard(proxy: Proxy) -> None:
    found = []
    for dsn in (proxy.server.url("proxy"), proxy.behind.url("shard_0")):
        with psycopg.connect(dsn) as connection:
            found.append({row[0]: row[1:] for row in connection.execute(SIGNATURES)})
    of_proxy, of_shard = found
    assert {name: row for name, row in of_shard.items() if of_proxy.get(name) != row} == {}
    assert of_proxy.keys() == of_shard.keys()


def test_kata_proxy_prints_the_functions_that_follow_from_a_shard(
    proxy: Proxy, functions: list[Function]
) -> None:
    shard = proxy.behind.url("shard_0")
    assert command("proxy", "sql", dsn=shard).stdout.strip() == proxy_sql(functions).strip()
    assert "is not a proxy" in command("shard", "list", dsn=shard, code=1).stderr


@pytest.mark.parametrize(
    ("numbers", "said"),
    [((0, 1), "2048 are missing, 0 come twice"), ((0, 1, 2, 2), "1024 are missing, 1024 come twice")],
)
def test_shards_that_do_not_have_every_bucket_once_are_refused(
    proxy: Proxy, numbers: tuple[int, ...], said: str
) -> None:
    given = [option for number in numbers for option in ("--shard", proxy.dsns[number])]
    assert said in command("proxy", "init", *given, dsn=proxy.server.url("proxy"), code=1).stderr


def test_an_upgrade_keeps_the_map_and_the_tenants(proxy: Proxy) -> None:
    front = proxy.server.url("proxy")
    with proxy.connect("chief") as chief:
        chief.execute("select kata.assign_tenant('ann', 'a team')")
        shown = command("proxy", "init", dsn=front).stdout
        assert shown == command("proxy", "status", dsn=front).stdout
        with proxy.connect("ann") as ann:
            assert one(ann, "kata.current_tenant()") == "a team"
        chief.execute("select kata.assign_tenant('ann', 'ann')")


def test_the_map_is_what_the_shards_say(proxy: Proxy) -> None:
    listed = shards.listed(proxy.server.url("proxy"))
    assert [(shard.number, shard.buckets, shard.problem) for shard in listed] == [
        (number, ((1024 * number, 1024 * number + 1023),), None) for number in range(4)
    ]
    assert [LOGIN in shard.address for shard in listed] == [False] * 4


def test_clients_reach_the_functions_of_schema_kata_only(proxy: Proxy) -> None:
    with proxy.connect("chief") as connection:
        for statement in (
            "select kata_px.find_context('{acme,x,true}', 0, 'x')",
            "select kata_proxy.who()",
            "select * from kata_proxy.bucket_range",
            "create function pg_temp.f() returns integer language plproxy as $$ cluster 'kata'; $$",
        ):
            assert refusal(connection, statement)[0] == "42501", statement
        users = connection.execute("select umoptions from pg_user_mappings where srvname = 'kata'").fetchall()
        assert [row["umoptions"] for row in users] == [None]


def calls(functions: list[Function], given: str) -> Iterator[tuple[str, str]]:
    """Yield a call of every function that takes a context or a compaction, with this id."""
    for function in functions:
        taken = [p for p in function.given if p.type == "uuid" and p.name not in ("after", "after_context")]
        if (
            not taken
            or function.route.kind == "refused"
            or (function.name, taken[0].name) == ("verify", "after")
        ):
            continue
        wanted = [p for p in function.given if p in taken or p.name in required(function)]
        arguments = ", ".join(
            f'"{p.name}" => ' + (f"'{given}'::uuid" if p in taken else f"{LITERALS[p.type]}::{p.type}")
            for p in wanted
        )
        yield function.name, f'select * from kata."{function.name}"({arguments})'


def required(function: Function) -> set[str]:
    """Return the parameters of a function without a default."""
    texts = [re.sub("^(INOUT|OUT) ", "", text) for text in function.arguments.split(", ")]
    optional = {text.split()[0].strip('"') for text in texts if " DEFAULT " in text}
    return {p.name for p in function.given} - optional


@pytest.mark.parametrize("is_known", [True, False], ids=["another tenant's", "unknown"])
def test_no_function_finds_the_context_of_another_tenant(
    proxy: Proxy,
    conn: Connection,
    functions: list[Function],
    is_known: bool,
) -> None:
    # The shards do not have the role chief, which is the tenant "chief" here.
    given = str(one(conn, "kata.create_context()") if is_known else uuid.uuid4())
    before = conn.execute("select * from kata.list_contexts()").fetchall()
    with proxy.connect("chief") as chief:
        found = {name: refusal(chief, call)[0] for name, call in calls(functions, given)}
    assert {name: state for name, state in found.items() if state != "KC001"} == {}
    assert len(found) > 70
    assert conn.execute("select * from kata.list_contexts()").fetchall() == before


def test_receipts_name_a_role_that_the_shards_do_not_have(
    proxy: Proxy,
    connect: Callable[..., Connection],
) -> None:
    ann = connect("ann", tenant=None)
    context = one(ann, "kata.create_context()")
    assert one(ann, "kata.current_tenant()") == "ann"
    assert ann.execute("select acted_by from kata.acts(%s)", (context,)).fetchall() == [{"acted_by": "ann"}]
    assert refusal(ann, "set kata.tenant = 'acme'; select kata.usage(%s)", context)[0] is not None
    with closing(psycopg.connect(proxy.behind.url(), autocommit=True)) as shard:
        assert shard.execute("select from pg_roles where rolname in ('ann', 'chief')").fetchall() == []


def test_a_caller_is_an_administrator_only_where_the_proxy_says_so(
    proxy: Proxy,
    connect: Callable[..., Connection],
) -> None:
    dsn = proxy.behind.url("shard_1")
    with psycopg.connect(dsn, autocommit=True) as shard:
        shard.execute("grant select on kata_data.message to kata_reader")
        try:
            seen = [
                connect(role, tenant=None).execute("select problem from kata.verify()").fetchall()
                for role in ("ann", "chief")
            ]
        finally:
            shard.execute("revoke select on kata_data.message from kata_reader")
    assert seen[0] == []
    assert seen[1] != []


# The contexts that the errors need: a call that returns an id, its name in later calls, and the next one.
NOTHING_KEPT = """'{{"preserve_recent_count": 0, "min_gain_tokens": 0}}'"""
STATES = {
    "context": ("kata.create_context()", "select kata.append_message('{context}', 'user', 'x')"),
    "deleted": ("kata.create_context()", "select kata.delete_context('{deleted}')"),
    "parent": ("""kata.create_context(policy => '{{"max_fork_depth": 1}}')""", "select 1"),
    "deep": ("kata.fork('{parent}')", "select 1"),
    "busy": (
        f"kata.create_context(policy => {NOTHING_KEPT})",
        "select kata.append_message('{busy}', role, 'x', 9) from unnest('{{user,assistant}}'::text[]) role",
    ),
    "lease": ("(kata.begin_compaction('{busy}', force => true)).compaction_id", "select 1"),
    "gone": (
        f"kata.create_context(policy => {NOTHING_KEPT})",
        "select kata.append_message('{gone}', role, 'x', 9) from unnest('{{user,assistant}}'::text[]) role",
    ),
    "ended": (
        "(kata.begin_compaction('{gone}', force => true)).compaction_id",
        "select kata.abort_compaction('{ended}')",
    ),
    "free": (
        """kata.create_context(policy => '{{"preserve_recent_count": 1, "min_gain_tokens": 0}}')""",
        "select kata.append_message('{free}', role, 'x', 0) "
        "from unnest('{{user,assistant,user}}'::text[]) role",
    ),
    "keys": (
        "kata.create_context()",
        "select kata.append_message('{keys}', 'user', 'x', idempotency_key => 'k'), kata.rewind('{keys}', 0)",
    ),
    "strange": (
        "kata.create_context()",
        """select kata.append('{strange}', '[{{"role": "user", "parts": [{{"type": "hologram"}}]}}]')""",
    ),
    "asked": (
        """kata.create_context(policy => '{{"model": "m"}}')""",
        "select kata.append_message('{asked}', 'user', 'x'), kata.request('{asked}'), "
        "kata.erase_message('{asked}', 1, 'asked to')",
    ),
}
ERRORS = {
    "KC001": "select kata.usage('00000000-0000-7000-8000-000000000000')",
    "KC002": "select kata.usage('{context}', 99)",
    "KC003": "select kata.append_message('{context}', 'user', 'x', expected_version => 7)",
    "KC004": "select kata.append_message('{context}', 'robot', 'x')",
    "KC005": "select kata.append_message('{context}', 'tool', 'x', tool_call_id => 'none')",
    "KC006": "select kata.usage('{deleted}')",
    "KC007": "select kata.create_context('known')",
    "KC008": "select kata.fork('{deep}')",
    "KC009": "select kata.begin_compaction('{busy}', force => true)",
    "KC010": "select kata.compact('{context}')",
    "KC011": "select kata.renew_compaction('{ended}')",
    "KC012": "select kata.compact('{free}', 'drop', true)",
    "KC013": "select kata.create_context(policy => '{{\"budget\": -1}}')",
    "KC014": "select kata.resolve_version('{context}', 'none REMOTE FATAL: none')",
    "KC017": "select kata.list_contexts(max_rows => -1)",
    "KC018": "select kata.set_environment('other')",
    "KC019": "select kata.create_context('different', idempotency_key => 'a key')",
    "KC020": "select kata.prompt('{context}', 1)",
    "KC021": "select kata.append_message('{keys}', 'user', 'x', idempotency_key => 'k')",
    "KC022": "select kata.prompt('{strange}', 1000)",
    "KC023": "select kata.replay('{asked}', 1)",
    "22P02": "select kata.usage('x')",
    "42883": "select kata.usage(1, 2, 3)",
}


def test_an_error_is_the_same_with_and_without_a_proxy(
    proxy: Proxy,
    database: str,
    connect: Callable[..., Connection],
) -> None:
    single = psycopg.connect(database, autocommit=True, row_factory=dict_row)
    chief = connect("chief", tenant=None)
    with single, closing(psycopg.connect(proxy.behind.url(), autocommit=True)) as admin:
        admin.execute("create role chief login in role kata_admin")
        single.execute("set session authorization chief")
        said: list[dict[str, Any]] = []
        try:
            for connection in (single, chief):
                one(connection, "kata.create_context('known', idempotency_key => 'a key')")
                one(connection, "kata.set_environment('test')")
                ids: dict[str, str] = {}
                for name, (make, then) in STATES.items():
                    ids[name] = str(one(connection, make.format(**ids)))
                    connection.execute(then.format(**ids).encode())
                texts = {state: refusal(connection, call.format(**ids)) for state, call in ERRORS.items()}
                plain = json.dumps(texts)
                for name, value in ids.items():
                    plain = plain.replace(value, name)
                said.append(json.loads(plain))
                one(connection, "kata.set_environment('', 'test')")
        finally:
            single.execute("reset session authorization")
            single.execute("drop owned by chief")
            admin.execute("drop role chief")
    direct, through = said
    for texts in said:
        for state in ("KC006", "KC009", "KC019", "KC023"):
            texts[state][2] = texts[state][2][:20]  # a time follows
    assert through == direct
    assert {state: text[0] for state, text in through.items()} == {state: state for state in ERRORS}


def test_pages_over_all_shards_are_exact(proxy: Proxy, conn: Connection) -> None:
    made = [one(conn, "kata.create_context()") for _ in range(23)]
    held = {(uuid.UUID(str(context)).int >> 64 & 0xFFF) // 1024 for context in made}
    assert len(held) > 1
    for function, order in (("list_contexts", sorted(made, reverse=True)), ("heads", sorted(made))):
        found, after = [], None
        while page := conn.execute(
            f"select context_id from kata.{function}(%s, 5)".encode(), (after,)
        ).fetchall():
            found += [row["context_id"] for row in page]
            after = found[-1]
        assert found == order, function
    (counts,) = one(conn, "kata.stats()").values()
    assert (counts["contexts"], counts["live"], counts["entries"]) == (23, 23, 0)
    newest = conn.execute("select context_id from kata.list_contexts(order_by => 'updated')").fetchall()
    # Of two ids of one millisecond the second may be the lesser.
    assert [row["context_id"] for row in newest] == made[::-1]


def test_verification_in_steps_over_all_shards_covers_each_context_once(
    proxy: Proxy,
    conn: Connection,
) -> None:
    made = sorted(one(conn, "kata.create_context()") for _ in range(9))
    broken = {made[1], made[4], made[8]}
    for dsn in proxy.dsns:
        with psycopg.connect(dsn.replace(f"//{LOGIN}@", "//postgres@"), autocommit=True) as shard:
            shard.execute(
                "update kata_data.head set raw_tokens = 7 where context_id = any (%s)", (list(broken),)
            )
    found, after, steps = [], None, 0
    while True:
        rows = conn.execute("select * from kata.verify(null, %s, 2)", (after,)).fetchall()
        found += [row["context_id"] for row in rows if row["problem"] != "cursor"]
        after = next((row["context_id"] for row in rows if row["problem"] == "cursor"), None)
        steps += 1
        if after is None:
            break
    assert (set(found), len(found)) == (broken, len(broken))
    assert steps > 1


def test_one_claim_takes_one_lease(conn: Connection) -> None:
    policy = json.dumps(
        {
            "budget": 10,
            "threshold": 0.5,
            "preserve_recent_count": 0,
            "min_gain_tokens": 0,
            "debounce_seconds": 0,
        }
    )
    for _ in range(8):
        context = one(conn, "kata.create_context(policy => %s)", policy)
        for role in ("user", "assistant", "user", "assistant"):
            conn.execute("select kata.append_message(%s, %s, 'x', 100)", (context, role))
    (before,) = one(conn, "kata.stats()").values()
    claimed = conn.execute("select * from kata.claim_due_compaction('w')").fetchall()
    (after,) = one(conn, "kata.stats()").values()
    assert (len(claimed), before["leases"], after["leases"]) == (1, 0, 1)
    assert str(claimed[0]["covered"]) != ""


def test_evidence_is_compared_on_every_shard(conn: Connection) -> None:
    for _ in range(6):
        conn.execute("select kata.create_context()")
    heads = [
        {name: value.hex() if isinstance(value, bytes) else value for name, value in row.items()}
        for row in conn.execute("select * from kata.heads()").fetchall()
    ]
    check = "select * from kata.check_heads(%s)"
    assert conn.execute(check, (json.dumps(heads, default=str),)).fetchall() == []
    heads[4]["version"] = 5
    problems = conn.execute(check, (json.dumps(heads, default=str),)).fetchall()
    assert {row["context_id"] for row in problems} == {heads[4]["context_id"]}
    assert refusal(conn, check, '{"a": 1}')[0] == "KC017"


def test_contexts_on_different_shards_are_not_merged(proxy: Proxy, conn: Connection) -> None:
    made = one(conn, "kata.create_context()")
    far = elsewhere(conn, made)
    said = refusal(conn, "select * from kata.merge(%s, %s)", made, far)
    assert said[:2] == ["KC017", f"contexts {made} and {far} live on different shards"]
    fork = one(conn, "kata.fork(%s)", made)
    assert shard_of(fork) == shard_of(made)
    assert refusal(conn, "select * from kata.merge(%s, %s, '{[1,2)}')", made, fork)[0] == "KC002"


def shard_of(context: uuid.UUID) -> int:
    """Return the number of the shard that holds a context."""
    return int(str(context)[15:18], 16) // 1024


def test_a_retry_with_a_key_gets_the_first_result_through_any_proxy(
    conn: Connection, connect: Callable[..., Connection]
) -> None:
    other = connect()
    create = "kata.create_context(%s, idempotency_key => 'key')"
    first = one(conn, create, "a name")
    assert one(other, create, "a name") == first
    assert one(conn, "kata.find_context('a name')") == first
    conn.execute("select kata.update_context(%s, 'renamed')", (first,))
    second = one(conn, "kata.create_context('a name')")
    assert one(other, create, "a name") == first != second
    assert refusal(conn, f"select {create}", "b")[0] == "KC019"


# Names


def race(connections: list[Connection], statements: list[tuple[str, tuple[object, ...]]]) -> list[Any]:
    """Run one statement per connection at the same moment; return values and SQLSTATEs."""
    barrier = threading.Barrier(len(connections))
    found: list[Any] = [None] * len(connections)

    def run(number: int) -> None:
        barrier.wait()
        try:
            call, arguments = statements[number]
            found[number] = one(connections[number], call, *arguments)
        except psycopg.Error as error:
            found[number] = error.sqlstate

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(connections))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_of_several_calls_that_want_a_name_at_once_one_gets_it(connect: Callable[..., Connection]) -> None:
    connections = [connect() for _ in range(4)]
    parents = [one(connections[0], "kata.create_context()") for _ in range(2)]
    for number in range(10):
        name = f"name {number}"
        found = race(
            connections,
            [
                ("kata.create_context(%s)", (name,)),
                ("kata.create_context(%s, idempotency_key => %s)", (name, name)),
                ("kata.fork(%s, name => %s)", (parents[0], name)),
                ("kata.fork(%s, name => %s)", (parents[1], name)),
            ],
        )
        made = [value for value in found if isinstance(value, uuid.UUID)]
        assert (len(made), found.count("KC007")) == (1, 3), found
        assert one(connections[0], "kata.find_context(%s)", name) == made[0]


def test_the_same_request_from_two_proxies_at_once_makes_one_context(
    connect: Callable[..., Connection],
) -> None:
    connections = [connect() for _ in range(4)]
    for number in range(5):
        calls: list[tuple[str, tuple[object, ...]]] = [
            ("kata.create_context(%s, idempotency_key => %s)", (f"name {number}", f"key {number}")),
            ("(kata.get_or_create_context(%s)).context_id", (f"other {number}",)),
        ]
        for call in calls:
            (made,) = set(race(connections, [call] * 4))
            assert isinstance(made, uuid.UUID)


@pytest.fixture
def superuser(proxy: Proxy, tenant: str) -> Iterator[Connection]:
    """A superuser of the proxy, which does the steps of a call one by one."""
    connection = proxy.connect("postgres", tenant)
    yield connection
    connection.close()


CLAIM = "kata_proxy.claim_name(%s, %s, %s)"
MAKE = (
    "kata_px.create_context(kata_proxy.who(%s, now() + interval '1 h'), kata_proxy.shard_of(%s), %s, null, "
    "'{}', 'o200k_base', null, %s)"
)


def test_a_proxy_that_dies_after_the_claim_leaves_the_name_to_the_same_request(
    superuser: Connection, conn: Connection
) -> None:
    id_ = one(superuser, "kata_proxy.new_id(7)")
    token = one(superuser, "kata_proxy.token_of(%s, 'tenant', 'key')", id_)
    assert one(superuser, CLAIM, "a", id_, token) is None
    assert one(conn, "kata.find_context('a')") is None
    assert refusal(conn, "select kata.create_context('a')")[0] == "KC007"
    made = one(conn, "kata.create_context('a', idempotency_key => 'key')")
    assert one(conn, "kata.find_context('a')") == made


def test_a_claim_without_a_key_runs_out(proxy: Proxy, superuser: Connection, conn: Connection) -> None:
    id_ = one(superuser, "kata_proxy.new_id(7)")
    assert one(superuser, CLAIM, "a", id_, "a token") is None
    for dsn in proxy.dsns:
        with psycopg.connect(dsn, autocommit=True) as shard:
            shard.execute(
                "update kata_data.name_claim set claimed_at = claimed_at - interval '31 s' "
                "where token = 'a token'"
            )
    late = f"select {MAKE}".replace("+ interval '1 h'", "- interval '1 s'")
    assert refusal(superuser, late, id_, id_, "a", None)[0] == "KC025"
    made = one(conn, "kata.create_context('a')")
    assert one(conn, "kata.find_context('a')") == made


def test_a_context_whose_proxy_died_before_it_kept_the_name_is_found(
    superuser: Connection, conn: Connection
) -> None:
    id_ = one(superuser, "kata_proxy.new_id(kata_proxy.bucket_for('key', 'a'))")
    token = one(superuser, "kata_proxy.token_of(%s, 'tenant', 'key')", id_)
    assert one(superuser, CLAIM, "a", id_, token) is None
    assert one(superuser, MAKE, id_, id_, "a", "key") == id_
    assert one(conn, "kata.find_context('a')") == id_
    assert refusal(conn, "select kata.create_context('a')")[0] == "KC007"
    assert one(conn, "kata.create_context('a', idempotency_key => 'key')") == id_


def test_a_name_that_was_given_up_is_free_at_once(conn: Connection) -> None:
    made = one(conn, "kata.create_context('a')")
    conn.execute("select kata.delete_context(%s)", (made,))
    second = one(conn, "kata.create_context('a')")
    said = refusal(conn, "select kata.restore_context(%s)", made)
    assert said[:2] == ["KC007", f"context {made} cannot be restored: its name is taken"]
    conn.execute("select kata.update_context(%s, 'b')", (second,))
    conn.execute("select kata.restore_context(%s)", (made,))
    assert one(conn, "kata.find_context('a')") == made
    assert one(conn, "kata.find_context('b')") == second
    assert refusal(conn, "select kata.update_context(%s, 'b')", made)[0] == "KC007"
    assert refusal(conn, "select kata.create_context(%s)", "x" * 300)[0] == "KC017"
    assert (
        one(conn, "kata.resolve_context('a')")
        == one(conn, "kata.resolve_context(%s)", str(made)[:20])
        == made
    )


def elsewhere(connection: Connection, context: uuid.UUID) -> uuid.UUID:
    """Make a context on another shard than that of this one."""
    while True:
        made: uuid.UUID = one(connection, "kata.create_context()")
        if shard_of(made) != shard_of(context):
            return made


RENAME = (
    "kata_px.update_context(kata_proxy.who(null, clock_timestamp() + %s), kata_proxy.shard_of(%s), %s, %s, "
    "null, false)"
)
RENAMING = "kata_proxy.token_of(%s, 'rename', %s::text)"


@contextmanager
def waiting(
    proxy: Proxy, context: uuid.UUID, connection: Connection, statement: str, *arguments: object
) -> Iterator[list[Any]]:
    """Run a statement that waits for the lock of a context; its SQLSTATE comes after the block."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(refusal(connection, statement, *arguments)[0]))
    address = proxy.dsns[shard_of(context)].replace(f"//{LOGIN}@", "//postgres@")
    with psycopg.connect(address) as shard, psycopg.connect(address, autocommit=True) as observer:
        shard.execute("select from kata_data.head where context_id = %s for update", (context,))
        thread.start()
        blocked = "select from pg_stat_activity where %s = any (pg_blocking_pids(pid))"
        while thread.is_alive() and not observer.execute(blocked, (shard.info.backend_pid,)).fetchall():
            thread.join(0.01)
        yield found
        shard.rollback()
        thread.join()


@pytest.mark.parametrize("way", ["renamed", "deleted"])
def test_a_context_that_takes_its_old_name_again_holds_it_meanwhile(
    proxy: Proxy, conn: Connection, connect: Callable[..., Connection], way: str
) -> None:
    first = one(conn, "kata.create_context('a')")
    second = elsewhere(conn, first)
    if way == "renamed":
        for name in "bab":
            conn.execute("select kata.update_context(%s, %s)", (first, name))
        again = "select kata.update_context(%s, 'a')"
    else:
        conn.execute("select kata.delete_context(%s)", (first,))
        again = "select kata.restore_context(%s)"
    rename = "select kata.update_context(%s, 'a')"
    with waiting(proxy, first, connect(), again, first) as found:
        assert refusal(conn, rename, second)[0] == "KC007"
    assert found == [None]
    assert one(conn, "kata.find_context('a')") == first
    conn.execute("select kata.delete_context(%s)", (first,))
    conn.execute(rename.encode(), (second,))
    assert refusal(conn, "select kata.restore_context(%s)", first)[0] == "KC007"


def test_a_call_that_is_refused_gives_up_its_own_claim_only(superuser: Connection, conn: Connection) -> None:
    first = one(conn, "kata.create_context('a')")
    second = elsewhere(conn, first)
    # The context has the name already: the entry stays.
    assert refusal(conn, "select kata.update_context(%s, 'a', '[]')", first)[0] == "KC017"
    assert one(conn, "kata.find_context('a')") == first
    # Of two requests with one key, one is still on its way; then both have ended.
    id_ = one(superuser, "kata_proxy.new_id(kata_proxy.bucket_for('key', 'b'))")
    token = one(superuser, "kata_proxy.token_of(%s, 'tenant', 'key')", id_)
    assert one(superuser, CLAIM, "b", id_, token) is None
    repetition = "select kata.create_context('b', policy => '{\"budget\": -1}', idempotency_key => 'key')"
    assert refusal(conn, repetition)[0] == "KC013"
    assert refusal(conn, "select kata.update_context(%s, 'b')", second)[0] == "KC007"
    one(superuser, "kata_proxy.release_name(true, 'b', %s, 'KC013', '')", token)
    conn.execute("select kata.update_context(%s, 'b')", (second,))


def test_a_name_kept_by_one_request_is_held_for_its_repetition(
    superuser: Connection, conn: Connection
) -> None:
    first = one(conn, "kata.create_context('a')")
    second = elsewhere(conn, first)
    token = one(superuser, RENAMING, first, first)
    assert one(superuser, CLAIM, "b", first, token) is None
    conn.execute("select kata.update_context(%s, 'b')", (first,))
    conn.execute("select kata.update_context(%s, 'c')", (first,))
    assert refusal(conn, "select kata.update_context(%s, 'b')", second)[0] == "KC007"
    superuser.execute(f"select {RENAME}".encode(), ("1 h", first, first, "b"))
    assert one(conn, "kata.find_context('b')") == first


def test_a_name_is_taken_over_as_it_was_seen(superuser: Connection, conn: Connection) -> None:
    """Between the look at the context and the taking over it may have got the name again."""
    first = one(conn, "kata.create_context('a')")
    conn.execute("select kata.update_context(%s, 'b')", (first,))
    claim = (
        "select * from kata_px.claim_name(kata_proxy.name_shard('a'), kata_proxy.tenant(), 'a', %s, 'x', %s)"
    )
    id_ = uuid.uuid4()
    seen = superuser.execute(claim, (id_, None)).fetchone()
    assert seen is not None
    assert (seen["holder"], seen["is_pending"]) == (first, False)
    conn.execute("select kata.update_context(%s, 'a')", (first,))
    refused = superuser.execute(claim, (id_, seen["claimed_at"])).fetchone()
    assert refused is not None
    assert refused["holder"] == first


def test_a_call_that_waited_past_its_deadline_changes_nothing(
    proxy: Proxy, superuser: Connection, conn: Connection
) -> None:
    made = one(conn, "kata.create_context('a')")
    with waiting(proxy, made, superuser, f"select {RENAME}", "0.1 s", made, made, "b") as found:
        conn.execute("select pg_sleep(0.1)")
    assert found == ["KC025"]
    assert one(conn, "kata.find_context('a')") == made


def test_a_purge_removes_the_name_from_the_directory(proxy: Proxy, conn: Connection) -> None:
    made = one(conn, "kata.create_context('secret')")
    conn.execute("select kata.delete_context(%s)", (made,))
    conn.execute("select kata.purge_context(%s)", (made,))
    for dsn in proxy.dsns:
        with psycopg.connect(dsn) as shard:
            assert shard.execute("select from kata_data.name_claim where name = 'secret'").fetchall() == []


def test_a_name_that_was_given_at_a_shard_is_entered_by_an_update(
    proxy: Proxy, conn: Connection, tenant: str
) -> None:
    """Documented in docs/scale.md for import_family, which a shard takes by itself."""
    other = one(conn, "kata.create_context('twice')")
    made: dict[str, uuid.UUID] = {}
    address = proxy.behind.url(f"shard_{(shard_of(other) + 1) % 4}")
    with closing(psycopg.connect(address, autocommit=True)) as shard:
        shard.execute("select set_config('kata.tenant', %s, false)", (tenant,))
        for name in ("mine", "twice"):
            made[name] = one(shard, "kata.create_context(%s)", name)
    assert one(conn, "kata.find_context('mine')") is None
    rename = "select kata.update_context(%s, %s)"
    conn.execute(rename.encode(), (made["mine"], "mine"))
    assert one(conn, "kata.find_context('mine')") == made["mine"]
    assert refusal(conn, "select kata.create_context('mine')")[0] == "KC007"
    assert refusal(conn, rename, made["twice"], "twice")[0] == "KC007"
    assert one(conn, "kata.find_context('twice')") == other


@pytest.mark.parametrize(
    "name", ["Ünï\u200dcode", "''; drop schema kata --", 'a\\b\t"$kata$', "\U0001f600", "%s $1 {x}"]
)
def test_a_name_is_only_a_text(conn: Connection, connect: Callable[..., Connection], name: str) -> None:
    made = one(conn, "kata.create_context(%s, idempotency_key => %s)", name, name)
    assert one(conn, "kata.find_context(%s)", name) == one(conn, "kata.resolve_context(%s)", name) == made
    other = connect(tenant=name)
    assert one(other, "kata.find_context(%s)", name) is None
    found = one(other, "(kata.get_or_create_context(%s)).context_id", name)
    assert one(other, "kata.find_context(%s)", name) == found != made
