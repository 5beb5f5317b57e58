"""Of whatever was stored, a prompt is valid and within the budget, or an error says why there is none."""

import re
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, field
from random import Random
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from support.hostile_histories import ARGUMENTS, IDS, TEXTS, Context, History, shortest
from validator import Violation, judge
from validator.mutations import MUTATIONS
from validator.published import PUBLISHED
from validator.recount import recount

FORMS = ("openai", "responses", "anthropic", "gemini")
OPTIONS = {form: "'wrapped'" if form == "openai" else "'wrapped', null" for form in FORMS}
HISTORIES = 140
HISTORIES_LONG = 10_000
STEPS = 14
PROMPTS = 4
BROKEN = 8
"""Bodies that each mutation breaks."""
KNOWN = {(form, "P3 estimated") for form in FORMS}
"""Rules that are not kept yet.

An estimate leaves out parts beside a content, and the fields of the provider.
"""


@dataclass
class Verdict:
    """Counts the prompts of random histories, and keeps their violations."""

    prompts: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    found: dict[tuple[str, str], list[tuple[int, Violation, Any]]] = field(default_factory=dict)
    broken: Counter[tuple[str, int]] = field(default_factory=Counter)
    missed: list[tuple[str, str, Any]] = field(default_factory=list)

    def add(self, number: int, form: str, violation: Violation, body: Any) -> None:
        self.found.setdefault((form, violation.rule), []).append((number, violation, body))

    def mutate(self, form: str, body: Any) -> None:
        """Break a valid body in each way that is not tried often enough, and judge it."""
        for number, (rule, mutation) in enumerate(MUTATIONS[form]):
            if self.broken[form, number] < BROKEN:
                copy = deepcopy(body)
                if mutation(copy):
                    self.broken[form, number] += 1
                    if rule not in {violation.rule for violation in judge(form, copy)}:
                        self.missed.append((form, rule, copy))

    def tell(self) -> str:
        """Return how many histories break each rule, with the smallest example of each."""
        lines = [f"{self.prompts} prompts, refused: {dict(self.refusals)}"]
        for key, cases in sorted(self.found.items()):
            least = shortest([body for _, _, body in cases])
            _, violation, _ = next(case for case in cases if case[2] is least)
            histories = sorted({number for number, _, _ in cases})
            lines.append(
                f"{key}: {len(histories)} histories, as {histories[0]}: {violation[1:]}: {least!s:.600}"
            )
        return "\n".join(lines)


def ask(verdict: Verdict, number: int, history: History, context: Context, form: str) -> None:
    """Ask for a prompt with a random budget at a random version, and judge it."""
    random = history.random
    budget = random.choice((1, 30, random.randint(1, 3000), 100_000))
    at = random.choice((None, None, random.randint(0, context.version)))
    step = random.choice((0, 0, random.randrange(budget)))
    system = random.choice(("wrapped", "joined", "wrapped" if form == "gemini" else "native"))
    thinking = random.choice((None, "assume", "drop"))
    newest = context.version if at is None else at
    recall = random.choice((None, random.choices(range(1, newest + 1), k=5) if newest else []))
    recall_budget = random.choice((None, 0, 300, 3000))
    for _ in range(2):
        try:
            with history.conn.transaction():
                row = history.conn.execute(
                    "select kata.prompt(%s, %s, %s, %s, %s, null, %s, %s, system => %s, thinking => %s)",
                    [
                        *(context.context_id, budget, form, at, step),
                        *(recall, recall_budget, system, thinking),
                    ],
                ).fetchone()
        except psycopg.Error as error:
            verdict.refusals[str(error.sqlstate)] += 1
            least = refusal(verdict, number, form, error)
            if least is None:
                return
            budget, step = least, 0
            continue
        assert row
        (body,) = row
        verdict.prompts += 1
        violations = judge(form, body)
        for violation in violations:
            verdict.add(number, form, violation, body)
        if not violations:
            verdict.mutate(form, body)
        if found := PUBLISHED[form](body):
            verdict.add(number, form, Violation("types", "$", found), body)
        if (tokens := recount(form, body)) > budget:
            rule = "P3 counted" if history.is_counted else "P3 estimated"
            verdict.add(number, form, Violation(rule, "$", f"{tokens} tokens, budget {budget}"), body)
        return
    verdict.add(number, form, Violation("KC020", "$", "the least sufficient budget did not suffice"), None)


def refusal(verdict: Verdict, number: int, form: str, error: psycopg.Error) -> int | None:
    """Judge an error; return the budget that it asks for."""
    detail = error.diag.message_detail or ""
    if error.sqlstate == "KC020" and (named := re.search(r"(\d+) tokens", detail)):
        return int(named[1])
    if error.sqlstate != "KC022" or not re.search(r"Version \d+ .* type \"\w+\"", detail):
        verdict.add(number, form, Violation("error", "$", f"{error.sqlstate} {error}: {detail}"), None)
    return None


def explore(conn: psycopg.Connection, histories: int, seed: int) -> Verdict:
    """Judge the prompts of random histories, in each form."""
    verdict = Verdict()
    for number in range(histories):
        random = Random(f"{seed}:{number}")
        with conn.transaction(force_rollback=True):
            history = History(conn, random, is_counted=number % 2 == 0, is_plain=number % 3 == 0)
            history.run(random.randint(2, STEPS))
            for _ in range(PROMPTS):
                context = random.choice(history.contexts)
                for form in FORMS:
                    ask(verdict, number, history, context, form)
    return verdict


@pytest.mark.slow
def test_each_prompt_of_a_random_history_is_valid_or_refused_by_name_and_no_broken_one_passes(
    conn: psycopg.Connection, is_long: bool, seed: int
) -> None:
    verdict = explore(conn, HISTORIES_LONG if is_long else HISTORIES, seed)
    print(verdict.tell())
    assert verdict.prompts > 10 * HISTORIES, verdict.tell()
    assert verdict.found.keys() <= KNOWN, verdict.tell()
    assert verdict.missed == [], "a broken prompt was accepted"
    assert verdict.broken == {
        (form, number): BROKEN for form in FORMS for number in range(len(MUTATIONS[form]))
    }, "some mutations found too little to break"


BOTH_WAYS = """
  select kata_data.usual_{form}_prompt(kata_data.usual_rows(w.rows, '{form}')),
    kata_data.{form}_prompt(w.rows, {options})
  from (
    select array_agg(row(w.*)::kata_data.window_row order by w.position) as rows
    from kata.window(%s, %s) w) w"""


def usual_drafts(random: Random) -> list[dict[str, Any]]:
    """Return messages that hold only texts and answered calls, with ids that come twice or are rewritten."""
    texts = [text for text in TEXTS if "system_message" not in text]
    drafts: list[dict[str, Any]] = [{"role": "system", "content": random.choice(("be brief", " "))}]
    for _ in range(random.randint(1, 8)):
        drafts.append({"role": random.choice(("user", "assistant")), "content": random.choice(texts)})
        ids = random.sample(IDS, random.choice((0, 0, 1, 2, 3)))
        if ids:
            calls = [
                {
                    "id": number,
                    "type": "function",
                    "function": {"name": "look", "arguments": random.choice(ARGUMENTS)},
                }
                for number in ids
            ]
            content = random.choice((None, "", *texts))
            drafts.append({"role": "assistant", "content": content, "tool_calls": calls})
            random.shuffle(ids)
            drafts += [
                {"role": "tool", "tool_call_id": number, "content": random.choice(texts)} for number in ids
            ]
    return drafts[: len(drafts) - (drafts[-1]["role"] == "tool" and random.random() < 0.3)]


def test_the_short_way_of_a_prompt_makes_what_the_general_way_makes(conn: psycopg.Connection) -> None:
    for number in range(40):
        random = Random(f"ways:{number}")
        (context_id,) = conn.execute("select kata.create_context()").fetchone() or ()
        conn.execute("select from kata.append(%s, %s)", [context_id, Jsonb(usual_drafts(random))])
        for form, options in OPTIONS.items():
            for budget in (100_000, random.randint(1, 300)):
                query = BOTH_WAYS.format(form=form, options=options).encode()
                ((short, general),) = conn.execute(query, [context_id, budget]).fetchall()
                assert short is not None
                assert short == general
