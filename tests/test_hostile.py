"""What a hostile or a careless caller may try: whatever it is, it is refused by name and changes nothing."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from kata_context import Kata

Connect = Callable[..., psycopg.Connection]

FUNCTIONS = """
  select p.proname, a.names, a.types
  from pg_proc p
  cross join lateral (
    select coalesce(array_agg(i.name order by i.place), '{}') as names,
      coalesce(array_agg(format_type(i.type, null) order by i.place), '{}') as types
    from unnest(
      p.proargnames,
      coalesce(p.proallargtypes, p.proargtypes::oid[]),
      coalesce(p.proargmodes, array_fill('i'::"char", array[p.pronargs]))
    ) with ordinality i(name, type, mode, place)
    where i.mode in ('i', 'b')
  ) a
  where p.pronamespace = 'kata'::regnamespace
  order by p.proname
"""

# Arguments of calls that succeed, the base of every attempt. {…} are ids of WORLD.
TALK = '[{{"role": "user", "content": "x"}}]'
USUAL: dict[str, dict[str, str]] = {
    "abort_compaction": {"compaction_id": "{compaction}"},
    "acts": {"context_id": "{context}"},
    "add_artifact": {"context_id": "{context}", "kind": "url", "ref": "x", "version": "3"},
    "amend": {"context_id": "{context}", "version": "3", "message": '{{"name": "x"}}'},
    "ancestry": {"context_id": "{fork}"},
    "append": {"context_id": "{context}", "messages": TALK},
    "append_message": {"context_id": "{context}", "role": "user", "content": "x"},
    "append_record": {"context_id": "{context}", "kind": "note", "data": "{{}}"},
    "archive_context": {"context_id": "{context}"},
    "archive_inactive": {"idle": "0"},
    "artifacts": {"context_id": "{context}"},
    "assign_tenant": {"role_name": "kata_reader", "tenant": "acme"},
    "begin_compaction": {"context_id": "{context}", "force": "true"},
    "build_embedding_index": {"model": "known", "dry_run": "true"},
    "check_heads": {"heads": "[]"},
    "checkpoint": {"context_id": "{context}", "name": "x"},
    "checkpoints": {"context_id": "{context}"},
    "claim_due_compaction": {"claimed_by": "x"},
    "close_calls": {"context_id": "{open}"},
    "commit_compaction": {"compaction_id": "{compaction}", "summary": "x"},
    "common_ancestor": {"context_a": "{context}", "context_b": "{fork}"},
    "compact": {"context_id": "{context}", "strategy": "drop", "force": "true"},
    "compaction_artifacts": {"compaction_id": "{compaction}"},
    "compaction_source": {"compaction_id": "{compaction}"},
    "complete_request": {"context_id": "{context}", "request_id": "1", "error": "x"},
    "compaction_status": {"context_id": "{context}"},
    "compactions": {"context_id": "{context}"},
    "create_context": {},
    "current_tenant": {},
    "delete_context": {"context_id": "{context}"},
    "delete_messages": {"context_id": "{context}", "first_version": "2", "last_version": "3"},
    "diff": {"context_a": "{context}", "context_b": "{fork}"},
    "diff_requests": {"context_id": "{context}", "a": "1", "b": "1"},
    "diff_versions": {"context_id": "{context}", "from_version": "1", "to_version": "9"},
    "drop_checkpoint": {"context_id": "{context}", "name": "known"},
    "drop_embedding_index": {"model": "known"},
    "elide": {"context_id": "{context}", "first_version": "1", "last_version": "9", "keep_tokens": "5"},
    "embedding_models": {},
    "entry_digests": {"context_id": "{context}"},
    "environment": {},
    "erase_message": {"context_id": "{context}", "version": "2", "reason": "x"},
    "erasures": {"context_id": "{context}"},
    "export_family": {"context_id": "{context}"},
    "failing_compactions": {},
    "find_context": {"name": "x"},
    "find_message": {"context_id": "{context}", "external_id": "x"},
    "fork": {"context_id": "{context}"},
    "forks": {"context_id": "{context}"},
    "get_context": {"context_id": "{context}"},
    "get_message": {"context_id": "{context}", "version": "2"},
    "get_or_create_context": {"name": "plan"},
    "get_policy": {"context_id": "{context}"},
    "get_tools": {"context_id": "{context}"},
    "set_tools": {"context_id": "{context}", "tools": '[{{"name": "x"}}]'},
    "heads": {},
    "history": {"context_id": "{context}"},
    "import_family": {"lines": "{archive}"},
    "index_search": {"context_id": "{context}"},
    "key_result": {"context_id": "{context}", "idempotency_key": "x"},
    "list_contexts": {},
    "merge": {"target": "{context}", "source": "{fork}"},
    "messages": {"context_id": "{context}"},
    "pending_embeddings": {"model": "known"},
    "pending_search": {},
    "pin": {"context_id": "{context}", "version": "2"},
    "policy_presets": {},
    "prewarm": {},
    "prompt": {"context_id": "{context}", "budget": "100000"},
    "purge_context": {"context_id": "{deleted}"},
    "purge_deleted": {"older_than": "0"},
    "purges": {"context_id": "{context}"},
    "put_embeddings": {
        "context_id": "{context}",
        "model": "known",
        "versions": "{{1}}",
        "embeddings": "{{{{1,2}}}}",
    },
    "put_token_counts": {
        "context_id": "{context}",
        "tokenizer": "cl100k_base",
        "versions": "{{1,2}}",
        "counts": "{{1,2}}",
    },
    "recall": {"context_id": "{context}", "query": "x"},
    "records": {"context_id": "{context}"},
    "register_tokenizer": {"name": "x", "bytes_per_token": "4"},
    "renew_compaction": {"compaction_id": "{compaction}"},
    "replay": {"context_id": "{context}", "request_id": "1"},
    "request": {"context_id": "{context}", "budget": "100000", "model": "m", "reserve": "9"},
    "request_rows": {"context_id": "{context}", "request_id": "1"},
    "requests": {"context_id": "{context}"},
    "resolve_context": {"selector": "plan"},
    "resolve_version": {"context_id": "{context}", "selector": "head~1"},
    "restore_context": {"context_id": "{deleted}"},
    "rewind": {"context_id": "{context}", "to_version": "5"},
    "search": {"context_id": "{context}", "query": "x"},
    "set_environment": {"label": "x"},
    "set_policy": {"context_id": "{context}", "policy": "{{}}"},
    "state_at": {"context_id": "{context}"},
    "stats": {},
    "tokenizers": {},
    "tree": {"context_id": "{context}"},
    "unarchive_context": {"context_id": "{archived}"},
    "undo": {"context_id": "{context}", "version": "10"},
    "unpin": {"context_id": "{context}", "version": "1"},
    "update_context": {"context_id": "{context}"},
    "usage": {"context_id": "{context}"},
    "verify": {},
    "version": {},
    "window": {"context_id": "{context}", "budget": "100000"},
    "explain_window": {"context_id": "{context}", "budget": "100000"},
}

BIG = "9223372036854775807"
# Values to try in place of each argument, by its type; None is NULL.
ODD: dict[str, list[str | None]] = {
    "uuid": [None, "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"],
    "text": [
        None,
        "",
        " ",
        "\t\n",
        "x" * 300,
        "x" * 1_000_000,
        "'\"\\%s{}$1;--\x1b[31m\x01\r\n\u202e\ufffe\U0001f600",
        "9" * 400,
        "-1",
        "*",
        "head~" + "9" * 400,
        "infinity",
        "9999999-12-31T00:00:00Z",
    ],
    "integer": [None, "-2147483648", "-1", "0", "2147483647"],
    "bigint": [None, "-9223372036854775808", "-1", "0", "1", "9223372036854775806", BIG],
    "boolean": [None, "true", "false"],
    "jsonb": [
        None,
        "null",
        "{}",
        "[]",
        '""',
        "1",
        "true",
        "[null]",
        "[[]]",
        "[{}]",
        '{"": null}',
        '{"x": 1}',
        '{"\\u001b": "\\u202e"}',
        "[" * 500 + "]" * 500,
        '{"a":' * 500 + "1" + "}" * 500,
        '{"budget": 1e1000}',
        '{"budget": -1}',
        '{"threshold": 0.00000000000000000001}',
        '[{"role": "user", "content": "x", "token_count": 1e100}]',
        '[{"role": "user", "content": "x", "token_count": -0}]',
        '[{"role": "user", "content": "x", "token_count": 2147483647}]',
        '[{"id": "1", "function": {"name": "f", "arguments": "{\\"a\\": 1e999999}"}}]',
        '[{"id": "1", "function": {"name": "f", "arguments": "{\\"path\\": \\"\\\\u0000\\"}"}}]',
        '[{"id": "1", "function": {"name": "f", "arguments": "{\\"path\\": \\"\\\\ud800\\"}"}}]',
        '[{"type": "text", "text": {}}]',
        '[{"type": "text"}]',
        '[{"type": "thinking", "thinking": 1}]',
        '[{"type": "image_url", "image_url": 7}]',
        '{"digest": {"requests": "x"}}',
    ],
    "numeric": [None, "NaN", "Infinity", "-Infinity", "-1", "0", "1e-1000", "1e1000", "4.4"],
    "timestamp with time zone": [None, "infinity", "4714-11-24 00:00+00 BC", "294276-12-31 23:59Z"],
    "interval": [None, "-1 day", "0", "1 microsecond", "178000000 years", "-178000000 years", "1000 years"],
    "text[]": [None, "{}", "{NULL}", '{"",x}', "{x,x}", "{{x,y},{z,u}}"],
    "bigint[]": [
        None,
        "{}",
        "{NULL}",
        "{1,1}",
        "{-1}",
        f"{{{BIG}}}",
        f"{{1,{BIG}}}",
        "{{1,2},{3,4}}",
        "[5:6]={1,2}",
    ],
    "integer[]": [None, "{}", "{NULL}", "{1,1}", "{-1}", "{2147483647,0}", "{{1,2},{3,4}}"],
    "real[]": [None, "{}", "{NULL}", "{1,-1}", "{NaN}", "{Infinity}", "{{1,2},{3,4}}"],
    "int8multirange": [
        None,
        "{}",
        "{(,)}",
        "{(,3]}",
        "{[1,)}",
        "{[-9,-1)}",
        "{[0,1)}",
        f"{{[9223372036854775806,{BIG})}}",
        f"{{[1,{BIG})}}",
        "{[1,2),[3,4),[9,99)}",
    ],
}
# Text that is not made jsonb before the call.
ODD["json"] = [*ODD["jsonb"], '[{"a": "\\u0000"}]', '{"a": "\\ud83d"}', '{"a": 1e400000}']

WORLD = """
  create temporary table world (name text, id uuid) on commit drop;
  create function pg_temp.id(name text) returns uuid
  language sql as $$ select w.id from world w where w.name = id.name $$;
  insert into world
  select 'context', kata.create_context('plan', jsonb_build_object(
    'min_interval_seconds', 0, 'preserve_recent_count', 0, 'min_gain_tokens', 0, 'max_fork_depth', 1000));
  select count(*) from kata.append(pg_temp.id('context'), fixture.drafts(
    'system 10, user 20, assistant 20 calls a b, tool 300 answers a, tool 30 answers b, user 4 pinned, '
    'assistant 20, user 10'));
  select kata.checkpoint(pg_temp.id('context'), 'known', 3);
  select kata.put_embeddings(pg_temp.id('context'), 'known', '{2}', '{{1,2}}');
  insert into world select 'fork', kata.fork(pg_temp.id('context'));
  select count(*)
  from kata.append(pg_temp.id('fork'), fixture.drafts('user 10, assistant 20 calls a, tool 2 answers a'));
  select kata.pin(pg_temp.id('context'), 1);
  select kata.elide(pg_temp.id('context'), 4);
  select kata.amend(pg_temp.id('context'), 2, '{"content": "other words"}');
  select count(*) from kata.request(pg_temp.id('context'), 100000, 'openai', 'm');
  insert into world select 'open', kata.create_context('open');
  select count(*) from kata.append(pg_temp.id('open'), fixture.drafts('user 10, assistant 20 calls x y'));
  insert into world select 'archived', kata.create_context('archived');
  select kata.archive_context(pg_temp.id('archived'));
  insert into world select 'deleted', kata.create_context('deleted');
  select count(*) from kata.append(pg_temp.id('deleted'), fixture.drafts('user 10'));
  select kata.delete_context(pg_temp.id('deleted'));
  insert into world
  select 'worked', kata.create_context(
    'worked', jsonb_build_object('preserve_recent_count', 0, 'min_gain_tokens', 0));
  select count(*) from kata.append(pg_temp.id('worked'), fixture.drafts('user 100, assistant 100, user 10'));
  insert into world
  select 'compaction', b.compaction_id from kata.begin_compaction(pg_temp.id('worked'), force => true) b;
"""

Calls = dict[str, tuple[dict[str, str], dict[str, str | None]]]


@pytest.fixture
def calls(conn: psycopg.Connection) -> Calls:
    """Of each function the parameters with their types, and arguments with which a call succeeds."""
    return usual_calls(conn)


def usual_calls(conn: psycopg.Connection) -> Calls:
    """Make WORLD in the transaction, and return usual calls in it."""
    conn.execute(WORLD)
    ids = {name: str(value) for name, value in conn.execute("select name, id from world").fetchall()}
    (ids["archive"],) = conn.execute(
        "select '[' || string_agg(e.line, ',') || ']' from kata.export_family(pg_temp.id('open')) e"
    ).fetchone() or ("",)
    return {
        function: (
            dict(zip(names, types, strict=True)),
            {name: value.format(**ids) for name, value in USUAL[function].items()},
        )
        for function, names, types in conn.execute(FUNCTIONS).fetchall()
    }


def call(
    conn: psycopg.Connection, function: str, types: dict[str, str], arguments: dict[str, str | None]
) -> Any:
    """Call a function and take all that it did back; return its rows, or else its error."""
    places = ", ".join(f'"{name}" => %({name})s::pg_catalog.{_spelled(types[name])}' for name in arguments)
    conn.execute("savepoint before")
    try:
        return conn.execute(f'select * from kata."{function}"({places})'.encode(), arguments).fetchall()
    except psycopg.Error as error:
        return error
    finally:
        conn.execute("rollback to savepoint before")


def _spelled(name: str) -> str:
    short = {
        "bigint": "int8",
        "integer": "int4",
        "boolean": "bool",
        "real": "float4",
        "timestamp with time zone": "timestamptz",
    }
    base = name.removesuffix("[]")
    return short.get(base, base) + name.removeprefix(base)


@pytest.mark.usefixtures("halfvec")
def test_nothing_that_a_caller_keeps_in_pg_temp_is_taken_for_a_type_or_a_table_of_the_server(
    conn: psycopg.Connection, calls: Calls
) -> None:
    conn.execute("""
      create role test_mallory;
      grant kata_writer, kata_admin, kata_service to test_mallory;
      set local role test_mallory;
      create function pg_temp.spy() returns pg_catalog.bool language plpgsql as $$
      begin
        raise exception using errcode = 'XX999', message = 'the trap was called as ' || current_user;
      end
      $$;
      grant execute on function pg_temp.spy() to public;
    """)
    # A row of the trap's own makes it spring where a view of it is read.
    relations = conn.execute("""
      select c.relname from pg_class c
      where c.relnamespace = 'pg_catalog'::regnamespace and c.relkind in ('r', 'v')""").fetchall()
    types = conn.execute("""
      select t.typname from pg_type t
      where t.typnamespace = 'pg_catalog'::regnamespace and t.typtype in ('b', 'r', 'm') and t.typelem = 0
        and t.typname not in (select c.relname from pg_class c)""").fetchall()
    for (name,) in relations:
        conn.execute(f"create view pg_temp.{name} as select pg_temp.spy() as rolname".encode())
    for (name,) in types:
        conn.execute(f"create domain pg_temp.{name} as pg_catalog.{name} check (pg_temp.spy())".encode())
    assert ("pg_roles",) in relations
    assert {("text",), ("jsonb",), ("int8multirange",)} <= set(types)

    for function, (parameters, arguments) in calls.items():
        outcome = call(conn, function, parameters, arguments)
        assert not isinstance(outcome, psycopg.Error), f"{function}: {outcome}"


@pytest.mark.usefixtures("halfvec")
def test_an_odd_argument_is_refused_by_name_or_means_something(
    conn: psycopg.Connection, calls: Calls
) -> None:
    problems = []
    for function, (parameters, arguments) in calls.items():
        usual = call(conn, function, parameters, arguments)
        assert not isinstance(usual, psycopg.Error), f"{function}: {usual}"
        for name, kind in parameters.items():
            for value in ODD[kind]:
                outcome = call(conn, function, parameters, arguments | {name: value})
                if isinstance(outcome, psycopg.Error) and not is_in_the_catalog(outcome):
                    problems.append(
                        f"{function}, {name} {str(value)[:40]!r}: {outcome.sqlstate} {str(outcome)[:300]}"
                    )
    assert problems == []
    assert conn.execute("select * from kata.verify()").fetchall() == []


def is_in_the_catalog(error: psycopg.Error) -> bool:
    """Return whether an error is one of ours, complete, and short enough to be read."""
    texts = (error.diag.message_primary, error.diag.message_detail, error.diag.message_hint)
    return (error.sqlstate or "").startswith("KC0") and all(text and len(text) <= 700 for text in texts)


DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize(
    "arguments",
    [
        '{"path": ' + DEEP + "}",
        '{"path": ' + DEEP[99_000:101_000] + "}",
        '{"path": 1e5000}',
        '{"path": "\\u0000"}',
    ],
    ids=["too deep for Postgres", "too deep for Python", "too large for Python", "no text"],
)
def test_no_arguments_of_a_tool_make_a_context_unreadable(database: str, arguments: str) -> None:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": arguments}}
    with Kata(database, count_tokens=False) as kata:
        context = kata.create()
        context.append(
            [
                {"role": "user", "content": "x"},
                {"role": "assistant", "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "a", "content": arguments},
                {"role": "user", "content": "x"},
            ]
        )
        prompt = context.prompt(1_000_000, "anthropic")
        assert prompt["messages"][1]["content"][0]["input"] == {"arguments": arguments}
        assert context.prompt(1_000_000)[1]["tool_calls"] == [call]
        context.artifacts()
        assert kata.verify() == []


@pytest.mark.parametrize(
    "value", ["[" * 1000 + "]" * 1000, "1e5000", "-1" + "0" * 400 + ".5"], ids=["deep", "large", "infinite"]
)
def test_json_that_a_client_could_not_read_back_is_refused_by_every_function(
    conn: psycopg.Connection, calls: Calls, value: str
) -> None:
    let_in = []
    wrapped = {
        "messages": f'[{{"role": "user", "content": "x", "metadata": {{"x": {value}}}}}]',
        "parts": f'[{{"type": "image", "x": {value}}}]',
        "tool_calls": f"""[{{"id": "a", "function": {{"name": "f", "arguments": ""}}, "x": {value}}}]""",
    }
    tried = set()
    for function, (parameters, arguments) in calls.items():
        for name in [name for name, kind in parameters.items() if kind == "jsonb"]:
            tried.add(name)
            odd: dict[str, str | None] = {name: wrapped.get(name, f'{{"x": {value}}}')}
            if name == "tool_calls":
                odd["role"] = "assistant"
            outcome = call(conn, function, parameters, arguments | odd)
            if not isinstance(outcome, psycopg.Error) or not is_in_the_catalog(outcome):
                let_in.append(f"{function}, {name}: {str(outcome)[:200]}")
    assert let_in == []
    assert {"metadata", "parts", "provider", "tool_calls", "messages", "policy", "detail"} <= tried


def test_json_of_a_hundred_levels_is_kept(conn: psycopg.Connection) -> None:
    value = '{"x": ' + "[" * 99 + "1e308" + "]" * 99 + "}"
    ((context_id,),) = conn.execute("select kata.create_context(metadata => %s::jsonb)", (value,)).fetchall()
    same = conn.execute(
        "select c.metadata = %s::jsonb from kata.get_context(%s) c", (value, context_id)
    ).fetchall()
    assert same == [(True,)]


def test_no_list_is_too_long_for_its_limit(conn: psycopg.Connection, calls: Calls) -> None:
    """Whatever takes an array says how many elements fit, and refuses more before it looks at one."""
    longest = {"embedding": 16_000}
    tried = set()
    for function, (parameters, arguments) in calls.items():
        for name in [name for name, kind in parameters.items() if kind.endswith("[]")]:
            length = longest.get(name, 10_000) + 1
            element = "{1}" if name == "embeddings" else "1"
            elements = "{" + ",".join([element] * length) + "}"
            outcome = call(conn, function, parameters, arguments | {name: elements})
            assert isinstance(outcome, psycopg.Error), (function, name)
            assert outcome.sqlstate == "KC017", (function, name, outcome)
            tried.add(f"{function}.{name}")
    assert {"close_calls.call_ids", "put_embeddings.versions", "window.recall", "prompt.recall"} <= tried
    assert {"put_token_counts.versions", "recall.embedding"} <= tried
