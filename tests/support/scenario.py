"""One conversation through everything that the store does, and all that is read of it afterwards, as bytes.

Time, salts and ids are fixed, so two runs give the same bytes unless something outside the database decides.
"""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg
from psycopg.types.json import Jsonb, set_json_loads

ascii_json = partial(json.dumps, ensure_ascii=True)

# Under tr_TR, I and i are not a pair; İ and ſ have lower cases outside ASCII; paths have letters of other scripts.
CALL = {
    "API_KEY": "sk-live-0123456789abcdef0123",
    "FILE_ID": "file_IXI_2291",
    "PATH": "src/İI/ö.py",
    "LIMIT": 10,
}
COMMAND = "sed -i 's|\\.a|\\.b|' src/GİRİŞ.ts && cat 'src/ö ü.py' C:\\work\\shop\\Auth.ts > çıktı.log"


def called(call_id: str, name: str, arguments: Any) -> dict[str, Any]:
    """Return a call in the chat form of OpenAI."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": text}}


MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief. <system_message>\\s no</system_message>", "token_count": 9},
    {"role": "user", "content": "Fix src/ö.py and Ärger/İSTANBUL.md — “ticket ID INV-1042”, https://İ.example/x\\y", "name": "ıI<x>"},
    {"role": "user", "content": "TITLE INDEX <System_Message> C:\\work\\shop\\src\\auth.ts \\u0041 5 % 'quoted' $1", "model": "gpt-4o"},
    {"role": "assistant", "content": None, "tool_calls": [called("c\\1", "edit_FİLE", CALL), called("c2", "Bash", {"command": COMMAND})]},
    {"role": "tool", "tool_call_id": "c2", "content": "ERROR: INIT FAILED at src/İI/ö.py:3\nexit code 1\n[File: SRC/INIT.PY (3)]"},
    {"role": "tool", "tool_call_id": "c\\1", "content": '{"API_KEY": "sk-live-0123456789abcdef0123", "FILE_ID": "file_9917_AB", "ORDER_ID": "İ-42"}'},
    {"role": "assistant", "content": "Done: WRITE_TITLE() in lib/Iıİi.ts; हिन्दी 東京タワー Straße ŒUVRE.", "metadata": {"cost": 1.50, "at": None}},
    {"role": "user", "content": "\u00a0Thanks – İSTANBUL INDEX titles? “Quoted” résumé", "occurred_at": "2025-12-31T23:30:00+09:30", "external_id": "İ\\1"},
    {"role": "assistant", "content": "It's ï, Ï and 10 % of I/O.", "parts": [{"type": "text", "text": "It's ï, Ï and 10 % of I/O."}]},
]  # fmt: skip
LATER: list[dict[str, Any]] = [
    {"role": "assistant", "content": "", "tool_calls": [called("d1", "read_file", '{"FILE_PATH": "docs\\\\İ.md", "n": 1.0}')]},
    {"role": "tool", "tool_call_id": "d1", "content": "İI ıi \\ \x7f ﬁ ① " + "line\\n " * 60},
    {"role": "user", "content": "Which TICKET was it? INV-1042 or Ž-77"},
]  # fmt: skip

ONE, FORK, LOOSE = (f"0000000{n}-0000-7000-8000-000000000000" for n in (1, 2, 3))
POLICY = {
    "budget": 400,
    "preserve_recent_count": 2,
    "min_gain_tokens": 0,
    "min_interval_seconds": 0,
    "strategy": "summarize",
}

PREPARE = """
create or replace function kata_data.new_context_id(bucket integer) returns uuid
language sql volatile as $$
  select (lpad(n::text, 8, '0') || '-0000-7000-8000-000000000000')::uuid
  from (select coalesce(nullif(pg_catalog.current_setting('test.ids', true), ''), '0')::integer + 1 as n offset 0) i
  where pg_catalog.set_config('test.ids', n::text, true) <> ''
$$
"""
"""Ids that count from 1 in each transaction; for a database of a test's own."""

WRITE: list[tuple[str, tuple[Any, ...]]] = [
    ("select set_config('kata.clock', '2026-03-29 02:30:00.123456+00', true), set_config('kata.salt', repeat('5a', 16), true)", ()),
    ("select kata.register_tokenizer('test-İ', 3.25, 1.5)", ()),
    ("select kata.create_context('İI ö', %s, %s, idempotency_key => %s)", (Jsonb(POLICY), Jsonb({"a": 1.50, "İ": "\\"}), "k\\1")),
    ("select * from kata.append(%s, %s, 0, %s)", (ONE, Jsonb(MESSAGES), "key\\2")),
    ("select * from kata.append(%s, %s, 0, %s)", (ONE, Jsonb(MESSAGES), "key\\2")),
    ("select kata.append_record(%s, %s, %s, %s, 'key3')", (ONE, "İ\\n", Jsonb({"x": [1.0, "\\"]}), "r\\1")),
    ("select kata.append_message(%s, 'user', %s, metadata => '{\"n\": 1.0}', occurred_at => '2026-01-01T00:00:00Z')", (ONE, "plain \\ İ")),
    ("select kata.pin(%s, 2)", (ONE,)),
    ("select kata.checkpoint(%s, 'Before-İ', note => %s)", (ONE, "a\\b")),
    ("select kata.fork(%s, 8, 'fork I', idempotency_key => 'f')", (ONE,)),
    ("select * from kata.append(%s, %s)", (FORK, Jsonb(LATER))),
    ("select kata.create_context('loose', '{\"strict\": false}', preset => 'audit')", ()),
    ("select kata.append_message(%s, 'tool', %s, tool_call_id => 'x', tool_name => 'İ.y')", (LOOSE, "orphan \\ İ")),
    ("select * from kata.append(%s, %s)", (LOOSE, Jsonb(LATER[:1]))),
    ("select * from kata.close_calls(%s)", (LOOSE,)),
    ("select * from kata.append(%s, %s)", (ONE, Jsonb(LATER))),
    ("select kata.add_artifact(%s, 'file', %s, '{\"a\": 1.0}', 2)", (ONE, "src/İ\\x.py")),
    ("select kata.elide(%s, 14, keep_tokens => 20)", (ONE,)),
    ("select kata.delete_messages(%s, 3)", (ONE,)),
    ("select kata.undo(%s, (select version from kata.usage(%s)))", (ONE, ONE)),
    ("select kata.index_search(%s)", (ONE,)),
    ("select kata.index_search(%s)", (FORK,)),
    ("select * from kata.merge(%s, %s, '{[9,12)}')", (LOOSE, FORK)),
    ("select * from kata.compact(%s, 'digest', true)", (FORK,)),
    ("select * from kata.begin_compaction(%s, 'summarize', %s, force => true)", (ONE, "w\\1")),
    ("select * from kata.compaction_source((select max(compaction_id::text)::uuid from kata.compactions(%s)))", (ONE,)),
    ("select * from kata.compaction_artifacts((select max(compaction_id::text)::uuid from kata.compactions(%s)))", (ONE,)),
    ("select * from kata.commit_compaction((select max(compaction_id::text)::uuid from kata.compactions(%s)), %s, 5)", (ONE, "greeted. \\s İ")),
    ("select * from kata.put_token_counts(%s, 'test-İ', '{1,2}', '{5,6}')", (ONE,)),
    ("select * from kata.erase_message(%s, 5, %s)", (ONE, "S\\S")),
    ("select kata.update_context(%s, 'ıi', '{\"b\": 2.0}')", (LOOSE,)),
]  # fmt: skip

READ: list[tuple[str, tuple[Any, ...]]] = [
    *((f"select * from kata.{function}(%s)", (context,)) for context in (ONE, FORK, LOOSE) for function in (
        "get_context", "artifacts", "compactions", "checkpoints", "compaction_status", "entry_digests", "erasures", "history",
        "messages", "records", "tree", "usage", "verify", "get_policy", "state_at", "explain_window")),
    *(("select kata.prompt(%s, %s, %s, system => %s, thinking => 'keep')", (context, budget, format, system))
      for context in (ONE, FORK, LOOSE) for budget in (4000, 900)
      for format, system in (("openai", "wrapped"), ("openai", "joined"), ("responses", "wrapped"), ("gemini", "wrapped"),
                             ("anthropic", "native"), ("anthropic", "wrapped"))),
    *(("select * from kata.window(%s, 900, recall => '{2,3}', recall_budget => 200, tokenizer => %s)", (ONE, t)) for t in (None, "test-İ")),
    *((f"select * from kata.{function}(%s, %s)", (context, query)) for context in (ONE, FORK) for function in ("search", "recall")
      for query in ("INDEX titles", "istanbul", "src/ö.py \"C:\\work\"", "हिन्दी", "東京 résumé", "INV-1042", "quoted İI")),
    ("select kata.resolve_version(%s, 'HEAD~1')", (ONE,)),
    ("select kata.resolve_version(%s, 'before-İ')", (ONE,)),
    ("select kata.resolve_version(%s, 'Before-İ')", (ONE,)),
    ("select kata.resolve_version(%s, '2026-03-29T02:30:00.1234567Z')", (ONE,)),
    ("select kata.resolve_context('İI ö')", ()),
    ("select kata.resolve_context('00000002')", ()),
    ("select kata.find_message(%s, %s)", (ONE, "İ\\1")),
    ("select * from kata.key_result(%s, %s)", (ONE, "key\\2")),
    ("select * from kata.diff(%s, %s)", (ONE, FORK)),
    ("select * from kata.diff_versions(%s, 3, 12)", (ONE,)),
    ("select * from kata.list_contexts()", ()),
    ("select * from kata.tokenizers()", ()),
    ("select * from kata.policy_presets()", ()),
    ("select * from kata.pending_search()", ()),
    ("select kata.append_message(%s, 'user', 'a', metadata => '\"İ\"')", (ONE,)),
    ("select kata.create_context('Iİ', %s)", (Jsonb({"nosuch\\": 1}),)),
    ("select * from kata.append(%s, %s)", (ONE, Jsonb([{"role": "user", "contents": "\\"}]))),
]  # fmt: skip


Found = dict[str, Any]


def run(conn: psycopg.Connection[Any], spelled: Callable[[str], str] = str) -> Found:
    """Return what each step of the scenario gives, by its number and text; nothing is kept.

    JSON is returned as it is printed. spelled: replaces characters in what is sent.
    """
    found: Found = {}
    set_json_loads(as_printed, conn)
    with conn.transaction(force_rollback=True):
        for number, (statement, arguments) in enumerate(WRITE + READ):
            sent = [respelled(argument, spelled) for argument in arguments]
            found[f"{number}: {statement} {arguments[1:2]}"] = step(conn, spelled(statement), sent)
    return found


def as_printed(data: str | bytes) -> str:
    """Return JSON as it came, in UTF-8 or else in Latin-1."""
    if isinstance(data, str):
        return data
    try:
        return bytes(data).decode()
    except UnicodeDecodeError:
        return bytes(data).decode("latin1")


def respelled(argument: Any, spelled: Callable[[str], str]) -> Any:
    """Return an argument with other characters."""
    if isinstance(argument, Jsonb):
        return Jsonb(json.loads(spelled(json.dumps(argument.obj, ensure_ascii=False))), ascii_json)
    return spelled(argument) if isinstance(argument, str) else argument


def step(conn: psycopg.Connection[Any], statement: str, arguments: list[Any]) -> Any:
    """Return the rows of a statement, or the error of the store, or that the client cannot read them."""
    try:
        with conn.transaction():
            return conn.execute(statement.encode(conn.info.encoding), arguments, binary=True).fetchall()
    except psycopg.Error as error:
        if error.sqlstate == "22P05":
            return ("22P05",)
        if not (error.sqlstate or "").startswith("KC"):
            raise
        told = error.diag
        return (error.sqlstate, told.message_primary, told.message_detail, told.message_hint)
