"""A recorded request is made again byte for byte, whatever has happened since, or an erasure is named."""

import asyncio
import re
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb
from typing_extensions import LiteralString

from conftest import ROOT
from kata_context import AsyncKata, Kata
from kata_context.database_errors import InvalidInputError
from kata_context.types import Message
from support.driver import PATIENCE
from support.hostile_histories import ATTEMPT, LONG, History
from support.interleaving import Connect, Start, wait_until_blocked
from test_conversations import recorded
from test_growth import cost
from validator.published import PUBLISHED, mismatch

CALL = {"name": "search", "arguments": '{"to": "SEA"}'}
FORMS = ("openai", "responses", "anthropic", "gemini")
REQUESTS = 300
REQUESTS_LONG = 10_000
TALKS = 6
"""Of the recorded talks so many are lived through; in the long run all."""
STEPS = 24
TOOLS = (
    None,
    "[]",
    '[{"type": "function",\n  "function": {"parameters": {"zeta": 1, "a": {"é": "x\\"y"}}, "name": "look"}}]',
    '[{"name":"b","input_schema":{"type":"object"}},{"name":"a"}]',
)
OPTIONS = (None, "{}", '{"zeta": 0.10, "alpha": {"b": 1, "a": 2}}', ' { "temperature" : 1.0 } ')

ASK: LiteralString = """
create type pg_temp.asked as (recall bigint[]);
create function pg_temp.ask(
  context_id uuid, ask jsonb, tools json, options json,
  out request_id bigint, out is_prompt boolean, out refused text
)
language plpgsql
as $$
declare
  v_recall bigint[] := (select p.recall from jsonb_populate_record(null::pg_temp.asked, ask) p);
  v_form text := ask ->> 'format';
  v_made record;
  v_prompt jsonb;
begin
  select r.* into v_made
  from kata.request(
    context_id, (ask ->> 'budget')::integer, v_form, 'm', tools, options, null, (ask ->> 'step')::integer,
    ask ->> 'tokenizer', (ask ->> 'at')::bigint, v_recall, (ask ->> 'recall_budget')::integer, 7,
    ask ->> 'system', ask ->> 'thinking') r;
  request_id := v_made.request_id;
  v_prompt := kata.prompt(
    context_id, (ask ->> 'budget')::integer, v_form, (ask ->> 'at')::bigint, (ask ->> 'step')::integer,
    ask ->> 'tokenizer', v_recall, (ask ->> 'recall_budget')::integer, (
      select 7 + ceil(p.tools_tokens * kata_data.tokenizer_factor(p.tokenizer))::integer
      from kata_data.request r
      join kata_data.request_profile p on p.profile_id = r.profile_id
      where r.context_id = ask.context_id and r.request_id = v_made.request_id),
    ask ->> 'system', ask ->> 'thinking');
  is_prompt := jsonb_strip_nulls(case v_form
    when 'openai' then jsonb_build_object('messages', v_prompt)
    else v_prompt - case v_prompt ->> 'system' when '' then 'system' else '' end
  end) <@ jsonb_strip_nulls(v_made.body::jsonb);
exception when others then
  request_id := null;
  refused := sqlstate;
  if sqlstate not in ('KC017', 'KC020', 'KC022', 'KC006') then
    raise;
  end if;
end
$$"""
"""A request, and whether its body has what prompt says, in one round trip."""

REPLAY: LiteralString = """
create function pg_temp.replay_all()
returns table (context_id uuid, request_id bigint, is_same boolean, refused text, detail text)
language plpgsql
as $$
begin
  for context_id, request_id in select r.context_id, r.request_id from kata_data.request r order by 1, 2
  loop
    is_same := null; refused := null; detail := null;
    begin
      is_same := (select p.is_same from kata.replay(replay_all.context_id, replay_all.request_id) p);
    exception when others then
      get stacked diagnostics refused = returned_sqlstate, detail = pg_exception_detail;
    end;
    return next;
  end loop;
end
$$"""


@dataclass
class Replays:
    """Counts requests and what became of them."""

    made: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    replayed: Counter[str] = field(default_factory=Counter)
    wrong: list[Any] = field(default_factory=list)

    def ask(self, history: History) -> None:
        """Ask for one request of a random context in a random way."""
        random = history.random
        context = random.choice(history.contexts)
        at = random.choice((None, None, random.randint(0, context.version)))
        versions = range(1, (context.version if at is None else at) + 1)
        budget = random.choice((random.randint(8, 3000), random.randint(300, 6000), 100_000))
        form = random.choice(FORMS)
        ask = {
            "format": form,
            "budget": budget,
            "at": at,
            "step": random.choice((0, 0, random.randrange(budget))),
            "tokenizer": random.choice((None, None, "cl100k_base", "other")),
            "system": random.choice(
                ("wrapped", "wrapped", "joined", "wrapped" if form == "gemini" else "native")
            ),
            "thinking": random.choice((None, "assume", "drop", "keep")),
            "recall": random.choice((None, None, random.choices(versions, k=5) if versions else [])),
            "recall_budget": random.choice((None, 300, 3000)),
        }
        tools, options = random.choice(TOOLS), random.choice(OPTIONS)
        row = history.conn.execute(
            "select * from pg_temp.ask(%s, %s, %s, %s)",
            [context.context_id, Jsonb(ask), tools, options],
            prepare=True,
        ).fetchone()
        assert row
        request_id, is_prompt, refused = row
        if refused:
            self.refused[refused] += 1
            return
        self.made += 1
        # A request knows which thinking is valid, and what assume takes for valid; a prompt knows neither.
        if not is_prompt and not (form == "anthropic" and ask["thinking"] in (None, "assume")):
            self.wrong.append((context.context_id, request_id, ask, "not what prompt says"))

    def replay(self, conn: psycopg.Connection, allowed: set[str]) -> None:
        """Replay everything."""
        for context_id, request_id, is_same, refused, detail in conn.execute(
            "select * from pg_temp.replay_all()"
        ):
            self.replayed[refused or "same"] += 1
            if not is_same and refused not in allowed:
                self.wrong.append((context_id, request_id, refused, detail))


def disturb(history: History) -> None:
    """Do what changes how a prompt would be chosen, and no recorded one."""
    conn, random = history.conn, history.random
    context = random.choice(history.contexts)
    kind = random.randrange(6)
    if kind == 0:
        policy = {
            "budget": random.randint(10, 9000),
            "format": random.choice(FORMS),
            "summary_role": "system",
        }
        conn.execute("select kata.set_policy(%s, %s)", [context.context_id, Jsonb(policy)])
    elif kind == 1 and context.version:
        history.attempt(
            context,
            "select kata.put_token_counts(%s, %s, %s, %s)",
            context.context_id,
            *("other", [random.randint(1, context.version)], [random.randint(0, 500)]),
        )
    elif kind == 2 and context.version:
        to = random.randrange(context.version)
        history.attempt(context, "select kata.rewind(%s, %s)", context.context_id, to)
    elif kind == 3 and context.version:
        words = Jsonb({"content": random.choice(("other words", "a\u00a0<system_message>b", LONG))})
        version = random.randint(1, context.version)
        history.attempt(context, "select kata.amend(%s, %s, %s)", context.context_id, version, words)
    elif kind == 4:
        conn.execute("select kata.register_tokenizer('other', %s::numeric)", [random.uniform(1, 6)])
    else:
        conn.execute(
            random.choice(
                (
                    "set local timezone = 'Asia/Kathmandu'",
                    "set local datestyle = 'German'",
                    "set local bytea_output = 'escape'",
                    "set local extra_float_digits = 0",
                    "set local work_mem = '64kB'",
                    "set local enable_hashagg = off",
                    "set local xmlbinary = 'hex'",
                )
            )
        )


def remove(history: History) -> Iterator[uuid.UUID]:
    """Erase some messages and purge some contexts."""
    conn, random = history.conn, history.random
    for _ in range(4):
        context = random.choice(history.contexts)
        version = random.randint(1, max(context.version, 1))
        history.attempt(context, "select kata.erase_message(%s, %s, 'test')", context.context_id, version)
    if len(history.contexts) > 2:
        context = random.choice(history.contexts)
        conn.execute("select kata.delete_context(%s)", [context.context_id])
        conn.execute("select kata.purge_context(%s)", [context.context_id])
        yield context.context_id


def live(history: History, replays: Replays) -> None:
    """Take a random history, and ask for requests in between."""
    history.run(4)
    for _ in range(STEPS):
        kind = history.random.random()
        if kind < 0.5:
            history.step()
        elif kind < 0.85:
            replays.ask(history)
        else:
            disturb(history)


def test_a_request_replays_to_the_byte_whatever_happened_since(
    conn: psycopg.Connection, is_long: bool, seed: int
) -> None:
    """Also after erasures and purges: then it replays, or the error names the erased version."""
    replays = Replays()
    number = 0
    for statement in (ATTEMPT, ASK, REPLAY):
        conn.execute(statement)
    conn.execute("select kata.register_tokenizer('other', 3.0)")
    while replays.made < (REQUESTS_LONG if is_long else REQUESTS):
        random = Random(f"{seed} {number}")
        with conn.transaction(force_rollback=True):
            history = History(conn, random, is_counted=False, is_plain=random.random() < 0.5)
            live(history, replays)
            replays.replay(conn, set())
            gone = list(remove(history))
            replays.replay(conn, {"KC023"} | ({"KC006"} if gone else set()))
        assert not replays.wrong, (number, replays.wrong[:3])
        number += 1
    replayed = replays.replayed
    share = replayed["KC023"] / replayed.total()
    print(f"{replays.made} requests, refused {dict(replays.refused)}; {dict(replayed)}, KC023 {share:.1%}")
    assert replayed["same"] > replays.made
    assert replayed["KC023"]


CHANGES: tuple[LiteralString, ...] = (
    "select kata.pin(%(id)s, %(version)s)",
    "select kata.unpin(%(id)s, %(version)s)",
    "select kata.elide(%(id)s, 1, %(version)s, 30)",
    "select kata.delete_messages(%(id)s, %(version)s)",
    "select kata.undo(%(id)s, %(version)s)",
    "select kata.rewind(%(id)s, %(near)s)",
    """select kata.amend(%(id)s, %(version)s, '{"content": "other words"}')""",
    """select kata.amend(%(id)s, 1, '{"content": "other rules"}')""",
    """select kata.set_tools(%(id)s, '[{"name": "look"}]')""",
    "select kata.compact(%(id)s, 'digest', true)",
    "select kata.compact(%(id)s, 'drop', true)",
    "select kata.append_record(%(id)s, 'note', '1')",
)


def relive(history: History, replays: Replays, messages: list[dict[str, Any]]) -> None:
    """Append a recorded talk message by message, with requests and changes in between."""
    random = history.random
    (context,) = history.contexts
    for message in messages:
        statement: LiteralString = "select kata.append(%s, %s)"
        arguments: list[Any] = [context.context_id, Jsonb([message])]
        if message["role"] == "assistant" and context.version:
            made = replays.made
            replays.ask(history)
            if replays.made > made:
                statement = """
                    select kata.append(%s, %s, request_id => (
                      select r.request_id from kata.requests(%s, max_rows => 1) r))"""
                arguments.append(context.context_id)
        history.attempt(context, statement, *arguments)
        if random.random() < 0.2:
            version = random.randint(1, context.version)
            near = max(context.version - random.randint(1, 5), 0)
            history.attempt(
                context, random.choice(CHANGES), id=context.context_id, version=version, near=near
            )


def test_the_requests_of_recorded_talks_replay_to_the_byte(
    conn: psycopg.Connection, is_long: bool, seed: int
) -> None:
    replays = Replays()
    for statement in (ATTEMPT, ASK, REPLAY):
        conn.execute(statement)
    conn.execute("select kata.register_tokenizer('other', 3.0)")
    talks = recorded()
    for name, messages in talks if is_long else talks[-1:] + talks[:: len(talks) // TALKS][: TALKS - 1]:
        with conn.transaction(force_rollback=True):
            history = History(conn, Random(f"{seed} {name}"), is_counted=False)
            history.run(0)
            relive(history, replays, messages)
            replays.replay(conn, set())
            (context,) = history.contexts
            problems = conn.execute("select * from kata.verify(%s)", [context.context_id]).fetchall()
            assert (replays.wrong, problems) == ([], []), name
    print(f"{replays.made} requests, refused {dict(replays.refused)}; {dict(replays.replayed)}")
    assert replays.replayed == {"same": replays.made}
    assert replays.made > 5 * TALKS


class OwnUsage:
    """Usage as the packages of providers have it."""

    def model_dump(self, **options: Any) -> dict[str, Any]:
        assert options == {"exclude_none": True}
        return {"prompt_tokens": 90, "completion_tokens": 9, "prompt_tokens_details": {"cached_tokens": 64}}


def test_a_program_posts_a_body_and_answers_its_request(kata: Kata) -> None:
    context = kata.create("asked", policy={"model": "m"})
    context.append_message("user", "hello")
    request = context.request(1000, options={"zeta": 1, "alpha": 0.5}, tools=[{"name": "look", "a": 1}])
    assert request.body == (
        '{"model": "m", "zeta":1,"alpha":0.5, "tools": [{"name":"look","a":1}], '
        '"messages": [{"role": "user", "content": "hello"}]}'
    )
    assert request.json()["messages"] == context.prompt(1000)
    assert (request.id, request.notes, request.start_version, request.token_count > 5) == (1, {}, 1, True)
    (row,) = request.answer(
        {"role": "assistant", "content": "hi"}, usage={"input": 5, "output": 1, "duration_ms": 7}
    )
    failed = context.request(1000)
    failed.fail(TimeoutError())
    context.request(1000).fail(ValueError("x\0\ud83d" + "\u00e9" * 40_000))
    retried = context.request(1000)
    for missing in (None, ""):
        with pytest.raises(InvalidInputError, match="error is missing"):
            retried.fail(missing)
    last = context.request(1000, "anthropic", reserve=10)
    answers: list[Message] = [{"role": "assistant", "content": "ok"}, {"role": "user", "content": "thanks"}]
    last.answer(answers, usage=OwnUsage())  # type: ignore[arg-type]
    listed = context.requests()
    assert [(r.answer_version, r.input_tokens, r.cached_tokens, r.error) for r in listed] == [
        (3, 90, 64, None),
        (None, None, None, None),
        (None, None, None, "x??" + "\u00e9" * 32_766),
        (None, None, None, "TimeoutError"),
        (row.version, 5, None, None),
    ]
    (late,) = failed.answer({"role": "assistant", "content": "late"})
    answered = [(r.answer_version, r.error) for r in context.requests() if r.request_id == failed.id]
    assert answered == [(late.version, "TimeoutError")]
    assert context.replay(1).body == request.body
    assert context.get_message(2).role == "assistant"


def test_asyncio_has_the_same_requests(database: str) -> None:
    async def ask() -> list[tuple[int | None, str | None]]:
        async with AsyncKata(database) as kata:
            context = await kata.create("asked", policy={"model": "m"})
            await context.append_message("user", "hello")
            request = await context.request(1000)
            await request.answer({"role": "assistant", "content": "hi"}, usage={"output": 1})
            failed = await context.request(1000)
            await failed.fail("overloaded")
            return [(r.answer_version, r.error) for r in await context.requests()]

    assert asyncio.run(ask()) == [(None, "overloaded"), (2, None)]


def refuse_gemini(body: dict[str, Any]) -> str | None:
    """Return what keeps a body from being of the types of Gemini, which has none of the whole body."""
    from google.genai.types import GenerationConfig, Tool
    from pydantic import ValidationError

    rest = {key: value for key, value in body.items() if key not in ("contents", "systemInstruction")}
    try:
        GenerationConfig.model_validate(rest.pop("generationConfig", {}))
        for tool in rest.pop("tools", []):
            Tool.model_validate(tool)
    except ValidationError as error:
        return str(error)
    return f"unknown fields {sorted(rest)}" if rest else PUBLISHED["gemini"](body)


def refuse_body(form: str, body: dict[str, Any]) -> str | None:
    """Return what keeps a body from being of the type that a provider publishes; None where nothing does."""
    if form == "openai":
        from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming

        return mismatch(body, CompletionCreateParamsNonStreaming)
    if form == "responses":
        from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming

        return mismatch(body, ResponseCreateParamsNonStreaming)
    if form == "anthropic":
        from anthropic.types.message_create_params import MessageCreateParamsNonStreaming

        return mismatch(body, MessageCreateParamsNonStreaming)
    return refuse_gemini(body)


FUNCTION = {"name": "look", "description": "Looks.", "parameters": {"type": "object", "properties": {}}}
TOOLS_OF = {
    "openai": {"type": "function", "function": FUNCTION},
    "responses": {"type": "function", "strict": False, **FUNCTION},
    "anthropic": {"name": "look", "input_schema": {"type": "object"}},
    "gemini": {"functionDeclarations": [FUNCTION]},
}


def test_each_documented_body_is_of_the_types_that_the_provider_publishes(kata: Kata) -> None:
    context = kata.create()
    context.append(
        [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "hello"},
            {"role": "assistant", "tool_calls": [{"id": "c1", "type": "function", "function": CALL}]},
            {"role": "tool", "tool_call_id": "c1", "content": "HAT083"},
        ]
    )
    page = (ROOT / "docs" / "requests.md").read_text("utf-8")
    calls = re.findall(r"`(context\.request\(32000, .*?\))` \|", page)
    forms = []
    for call in calls:
        form = call.split('"')[1]
        forms.append(form)
        for more in ("", f", tools=[{TOOLS_OF[form]}]"):
            body = eval(call[:-1] + more + ")", {"context": context}).json()
            assert refuse_body(form, body) is None
            assert refuse_body(form, {**body, "zeta": 1})
    assert tuple(forms) == FORMS


MORE: LiteralString = """
insert into kata_data.request (
  context_id, request_id, at, created_at, preamble_end, start_version, profile_id, budget, stable_step,
  token_count, message_count, long_ttl, open_end, body_digest, salt)
select r.context_id, n, r.at, r.created_at, r.preamble_end, r.start_version, r.profile_id, r.budget,
  r.stable_step, r.token_count, r.message_count, r.long_ttl, r.open_end, r.body_digest, r.salt
from kata_data.request r
cross join generate_series(r.request_id + 1, %s) n
where r.request_id = (select max(q.request_id) from kata_data.request q)"""


def test_the_cost_of_a_request_does_not_grow_with_their_number(conn: psycopg.Connection) -> None:
    """In a session that knows the calls from when there was one request."""
    (context_id,) = conn.execute('select kata.create_context(policy => \'{"model": "m"}\')').fetchone() or ()
    conn.execute(
        "select kata.append(%s, jsonb_agg(jsonb_build_object('role', 'user', 'content', 'hello ' || n)))"
        " from generate_series(1, 50) n",
        [context_id],
    )
    calls = {
        "a request": 'select * from kata.request(%(id)s, 300, tools => \'[{"name": "look"}]\')',
        "a replay": "select * from kata.replay(%(id)s, %(number)s)",
        "its rows": "select * from kata.request_rows(%(id)s, %(number)s)",
        "a page": "select * from kata.requests(%(id)s, %(number)s, 20)",
    }

    def buffers(number: int) -> dict[str, int]:
        found = {}
        for name, call in calls.items():
            for _ in range(3):
                with conn.transaction(force_rollback=True):
                    values = {"id": context_id, "number": number}
                    found[name] = cost(conn, call, **values)[0]
        return found

    conn.execute("select kata.request(%s, 300)", [context_id])
    conn.cursor_factory = psycopg.ClientCursor
    buffers(1)
    conn.execute(MORE, [1_000])
    few = buffers(500)
    conn.execute(MORE, [100_000])
    many = buffers(50_000)
    # One more level of the index per look-up, and of a page of 20 rows at most one page of the table each.
    assert {name: many[name] - few[name] for name in calls if many[name] > few[name] + 8} == {}


def test_two_requests_at_once_take_different_numbers(
    connect: Connect, start: Start, observer: psycopg.Connection
) -> None:
    """The second waits for the first to commit; where its snapshot is older, it must begin again."""
    first, second = connect(), connect()
    row = first.execute("select kata.create_context('two', '{\"model\": \"m\"}')").fetchone()
    assert row
    ask: LiteralString = "select r.request_id, r.body from kata.request(%s, 1000) r"
    first.execute("select kata.append_message(%s, 'user', 'hello')", row)
    first.commit()
    second.execute("set transaction isolation level repeatable read")
    second.execute("select 1")
    first.execute("select kata.append_message(%s, 'user', 'more')", row)
    first.commit()
    # An old snapshot is recorded with its own version, and replays.
    number, body = second.execute(ask, row).fetchone() or (0, "")
    assert (number, "more" in body) == (1, False)
    second.commit()
    assert second.execute("select p.body, p.is_same from kata.replay(%s, 1) p", row).fetchone() == (
        body,
        True,
    )
    second.rollback()
    second.execute("set transaction isolation level repeatable read")
    second.execute("select 1")
    assert (first.execute(ask, row).fetchone() or [0])[0] == 2
    first.commit()
    with pytest.raises(psycopg.errors.SerializationFailure):
        second.execute(ask, row)
    second.rollback()
    first.execute(ask, row)
    waiting = start(second, "select r.request_id from kata.request(%s, 1000) r", *row)
    wait_until_blocked(observer, second)
    first.commit()
    assert waiting.result(PATIENCE) == [(4,)]
