"""A renderer makes the same bytes of the same rows, in every release, on every server and in every locale."""

import hashlib
import json
import re
from contextlib import closing
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb
from typing_extensions import LiteralString

from conftest import ROOT, TestServer
from support.locales import create_or_skip

FOLDER = ROOT / "sql" / "functions" / "internal" / "renderers"
GOLDEN = ROOT / "tests" / "golden"
FORMS = ("openai", "responses", "anthropic", "gemini")
NUMBERS = {1}

# A refusal has the same words, too.
RENDER: LiteralString = """
create function pg_temp.digest(sent text) returns text
language sql as $$ select encode(sha256(convert_to(sent, 'UTF8')), 'hex') $$;
create function pg_temp.render(c jsonb, form text) returns text
language plpgsql
as $$
declare
  v_rows kata_data.prompt_row[];
  v_system text := replace(c ->> 'system', case form when 'gemini' then 'native' else '-' end, 'wrapped');
  v_thinking text := c ->> 'thinking';
  v_hidden int8multirange := c ->> 'hidden';
  v_sent text;
  v_detail text;
begin
  v_rows := array(select r from jsonb_populate_recordset(null::kata_data.prompt_row, c -> 'rows') r);
  v_sent := case form
    when 'openai' then kata_data.openai_1(v_rows, v_system, v_thinking, v_hidden)
    when 'responses' then kata_data.responses_1(v_rows, v_system, v_thinking, v_hidden)
    when 'anthropic' then kata_data.anthropic_1(v_rows, v_system, v_thinking, v_hidden)
    when 'gemini' then kata_data.gemini_1(v_rows, v_system, v_thinking, v_hidden)
  end::text;
  -- A body has it as text.
  assert form <> 'openai' or v_sent = kata_data.openai_text_1(v_rows, v_system, v_thinking, v_hidden, null);
  return v_sent;
exception when others then
  get stacked diagnostics v_detail = pg_exception_detail;
  return sqlstate || ' ' || v_detail;
end
$$"""
ALL: LiteralString = """
select array_agg(pg_temp.digest(pg_temp.render(c.c, f.form)) order by f.place)
from jsonb_array_elements(%s) with ordinality c(c, number)
cross join unnest(%s::text[]) with ordinality f(form, place)
group by c.number
order by c.number"""
# All functions that the folder has, with what they call.
CALLS: LiteralString = """
select p.proname, p.prosrc, p.provolatile, p.proconfig, p.prosecdef
from pg_proc p
where p.pronamespace = 'kata_data'::regnamespace and p.proname = any (%s)"""
# Words that would let something else than rows into a prompt.
LEAKS = (
    r"\b(now|clock_timestamp|current_setting|set_config|random|gen_random_uuid|kata_data\.clock)\s*\("
    r"|\b(current_\w+|session_user|localtime\w*|execute)\b|\bkata\.|c_utf8"
)


def cases() -> list[dict[str, object]]:
    """Return the rows of the corpus, with the options of their prompts."""
    return [json.loads(line) for line in (GOLDEN / "rows.jsonl").read_text("utf-8").splitlines()]


def own_functions() -> set[str]:
    """Return the names of the functions in the folder."""
    found = (
        re.findall(r"create or replace function kata_data\.(\w+)", file.read_text("utf-8"))
        for file in FOLDER.glob("*.sql")
    )
    return {name for names in found for name in names}


def install(conn: psycopg.Connection) -> None:
    """Install the renderers alone, with the type of their rows."""
    migration = (ROOT / "sql" / "migrations" / "0008_view.up.sql").read_text("utf-8")
    row_type = re.search(r"create type kata_data\.prompt_row as \(.*?\);", migration, re.DOTALL)
    assert row_type
    conn.execute("set search_path = pg_catalog, pg_temp")
    conn.execute("set check_function_bodies = off")
    conn.execute(f"create schema kata_data; {row_type[0]}".encode())
    for file in sorted(FOLDER.glob("*.sql")):
        conn.execute(file.read_bytes())


def test_the_files_of_a_renderer_never_change() -> None:
    lines = [line.split() for line in (GOLDEN / "frozen.sha256").read_text().splitlines()]
    listed = {name: digest for digest, name in lines}
    found = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in FOLDER.glob("*.sql")}
    assert found == listed, "leave them, and add a number: CONTRIBUTING.md, Change a renderer"


@pytest.mark.slow
@pytest.mark.parametrize(("locale", "step"), [("C", 1), ("C.UTF-8", 3), ("tr_TR", 3)])
def test_the_same_rows_make_the_same_bytes_in_every_locale(
    foreign: TestServer, locale: str, step: int, is_long: bool
) -> None:
    # Elsewhere than in C, each third case but in the long run.
    every = slice(None, None, 1 if is_long else step)
    dsn = create_or_skip(foreign, f"golden_{locale.lower().replace('.', '_').replace('-', '_')}", locale)
    recorded = [line.split() for line in (GOLDEN / "digests_1.txt").read_text().splitlines()]
    assert len(recorded) == len(cases())
    with closing(psycopg.connect(dsn, autocommit=True)) as conn:
        install(conn)
        conn.execute(RENDER)
        found = [row[0] for row in conn.execute(ALL, [Jsonb(cases()[every]), list(FORMS)])]
    pairs = zip(found, recorded[every], strict=True)
    assert [number for number, (now, then) in enumerate(pairs, 1) if now != then] == []


def test_renderers_call_nothing_but_each_other_and_postgres(conn: psycopg.Connection) -> None:
    own = own_functions()
    found = conn.execute(CALLS, [list(own)]).fetchall()
    assert {name for name, *_ in found} == own
    for name, source, volatility, settings, is_definer in found:
        body = re.sub(r"'(?:[^']|'')*'|--[^\n]*", "", source)
        assert set(re.findall(r"kata_data\.(\w+)\s*\(", body)) <= own, name
        assert set(re.findall(r"kata_data\.(\w+)\b(?!\s*\()", body)) <= {"prompt_row"}, name
        assert not re.search(LEAKS, body), name
        # Columns of a row that a prompt does not depend on.
        assert not re.search(r"\b[a-z]\w*\.(reason|token_count)\b", body), name
        assert (volatility in "is", settings, is_definer) == (True, None, False), name
        # Parsers of numbers and times, orders and classes of characters that a setting or a locale moves.
        assert not re.search(
            r"::(date|time|timestamp|interval|money|float|double|real)|to_date|to_timestamp|initcap", body
        ), name
    entries = {f"{form}_{number}" for form in FORMS for number in NUMBERS} | {"openai_text_1"}
    assert {name: volatility for name, _, volatility, *_ in found if name in entries} == dict.fromkeys(
        entries, "i"
    )


BODIES = {
    "openai": ('[{"role": "user", "content": "é"}]', '"messages": [{"role": "user", "content": "é"}]'),
    "responses": ('{"instructions": null, "input": []}', '"input": []'),
    "anthropic": ('{"system": "s", "messages": []}', '"system": "s", "messages": []'),
    "gemini": (
        '{"contents": [], "systemInstruction": {"parts": []}}',
        '"systemInstruction": {"parts": []}, "contents": []',
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_body_is_laid_out_around_its_prompt(conn: psycopg.Connection, form: str) -> None:
    prompt, expected = BODIES[form]
    body: LiteralString = """
    select case %(form)s
      when 'openai' then kata_data.openai_body_1(%(model)s, %(options)s, %(tools)s, %(prompt)s)
      else kata_data.body_1(%(form)s, %(model)s, %(options)s, %(tools)s, %(prompt)s::jsonb)
    end"""
    asked = {
        "form": form,
        "model": 'a "b"',
        "options": ' {"b": 1.0, "a":{ }} ',
        "tools": '[ {"z":1,"a":2} ]',
        "prompt": prompt,
    }
    row = conn.execute(body, asked).fetchone()
    model = "" if form == "gemini" else r'"model": "a \"b\"", '
    assert row == (f'{{{model}"b": 1.0, "a":{{ }}, "tools": [ {{"z":1,"a":2}} ], {expected}}}',)


def replace(conn: psycopg.Connection, *changes: tuple[str, str]) -> None:
    """Install a release whose file rendered.sql is changed."""
    source = (ROOT / "sql" / "functions" / "internal" / "window" / "rendered.sql").read_text("utf-8")
    for before, after in changes:
        assert before in source
        source = source.replace(before, after)
    with conn.transaction():
        conn.execute("set local role kata_owner")
        conn.execute(source.encode())


SECOND = """
create function kata_data.openai_2(
  rows kata_data.prompt_row[], system text, thinking text,
  hidden int8multirange default null, kind text default null
) returns jsonb
language plpgsql immutable
as $$
begin
  return kata_data.openai_1(rows, system, thinking, hidden, kind)
    || '[{"role": "user", "content": "by 2"}]'::jsonb;
end
$$"""
KNOWN = (
    "case when renderer = 1 then",
    "case when renderer = 2 and format = 'openai' "
    "then kata_data.openai_2(rows, system, thinking, hidden, kind) when renderer = 1 then",
)
NEWEST = (
    "select case when format in",
    "select case when format = 'openai' then 2 when format in",
)


def test_an_upgrade_in_the_middle_of_a_history_replays_each_request_by_its_renderer(database: str) -> None:
    def one(statement: LiteralString, *values: object) -> Any:
        return conn.execute(statement, values).fetchone()

    def request(words: str) -> tuple[Any, ...]:
        conn.execute("select kata.append_message(%s, 'user', %s)", [context_id, words])
        made: tuple[Any, ...] = one(
            "select r.request_id, r.body from kata.request(%s, 1000, 'openai', 'm') r", context_id
        )
        return made

    prompt: LiteralString = "select kata.prompt(%s, 1000, at => 1, renderer => %s)::text"
    with closing(psycopg.connect(database, autocommit=True)) as conn:
        (context_id,) = one("select kata.create_context()")
        made = [request("one")]
        (before,) = one(prompt, context_id, None)
        with conn.transaction():
            conn.execute("set local role kata_owner")
            conn.execute(SECOND.encode())
        replace(conn, KNOWN, NEWEST)
        made += [request("two")]
        assert "by 2" in made[1][1]
        assert one(prompt, context_id, 1) == (before,)
        assert "by 2" in one(prompt, context_id, None)[0]
        # Number 2 is broken: no new request takes it, and those that it made come out of it as before.
        replace(conn, KNOWN)
        made += [request("three")]
        assert "by 2" not in made[2][1]
        for request_id, body in made:
            replay = "select r.body, r.is_same from kata.replay(%s, %s) r"
            assert one(replay, context_id, request_id) == (body, True)
        with pytest.raises(psycopg.Error, match="renderer 3 is unknown"):
            one(prompt, context_id, 3)
