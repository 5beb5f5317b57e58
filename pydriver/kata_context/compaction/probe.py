"""Probes: does a model that sees the compacted context still know the covered facts?

`generate` makes questions of four kinds from the messages that a compaction covered, always the same ones:
recall (statements and results), artifact (files, URLs, identifiers and tools), continuation (the state of the
work) and decision (choices made). `evaluate` asks any answerer and scores the answers with any judge.
`retention` needs no model: it looks for each artifact in the window and in the artifact index. They work on
rows as the SQL functions return them; `load` reads these.
"""

import json
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import Any, Literal, TypeVar

import psycopg
from psycopg.rows import dict_row

Row = Mapping[str, Any]
"""A row of kata.messages, kata.window or kata.artifacts."""
Kind = Literal["recall", "artifact", "continuation", "decision"]
KINDS: tuple[Kind, ...] = ("recall", "artifact", "continuation", "decision")
Artifact = tuple[str, str]
"""Kind and ref."""
T = TypeVar("T")

# Tools that look and do not touch: calling one decides nothing.
_LOOKS = re.compile(
    r"(get|list|search|find|read|open|view|show|look|fetch|query|think|calc|ls|cat|grep|goto|scroll)",
    re.IGNORECASE,
)
_ASSENT = re.compile(
    r"(yes|no|ok|okay|sure|please|proceed|go ahead|let's|i'd|i would|i want|i'll|that)\b", re.IGNORECASE
)
_URL = re.compile(r"(?:https?|ftp)://[^\s<>\"'`\\)\]}|]+")
_ID_KEY = re.compile(r"(^|_)(id|number)s?$", re.IGNORECASE)
_FILE_KEY = re.compile(r"(^|_)(path|file|filename|file_name)$", re.IGNORECASE)
_NO_ID = re.compile(
    r"(line|page|row|column|col|port|phone|house|room|seat|exit|status)_?(number|id)", re.IGNORECASE
)
_MOST_TERMS = 5
_PAGE = "select * from kata.messages(%s, after => %s, max_rows => 1000, visibility => 'raw', at => %s)"


@dataclass(frozen=True, slots=True)
class Question:
    """A question about covered messages.

    Parameters
    ----------
    kind : recall, artifact, continuation or decision
    text : what to ask
    expected : what a right answer names, in the words of the messages
    versions : the messages with the answer
    """

    kind: Kind
    text: str
    expected: tuple[str, ...]
    versions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """An answer and how good it is, from 0 to 1."""

    question: Question
    answer: str
    score: float


@dataclass(frozen=True, slots=True)
class Report:
    """The scores of all questions."""

    scores: tuple[Score, ...]

    def of_kind(self, kind: Kind) -> float | None:
        """Return the mean score of a kind; None where there was no question of it."""
        found = [score.score for score in self.scores if score.question.kind == kind]
        return fmean(found) if found else None

    @property
    def overall(self) -> float | None:
        """The mean score of all questions; None where there was none."""
        return fmean(score.score for score in self.scores) if self.scores else None


@dataclass(frozen=True, slots=True)
class Retention:
    """How many of the artifacts that were covered can still be seen.

    Parameters
    ----------
    wanted : all that the covered messages name
    missing : those that neither the window nor the index holds
    """

    wanted: tuple[Artifact, ...]
    missing: tuple[Artifact, ...]

    @property
    def share(self) -> float:
        """The share that is held, from 0 to 1."""
        return 1 - len(self.missing) / len(self.wanted) if self.wanted else 1.0


@dataclass(frozen=True, slots=True)
class Material:
    """What probes are made of, as read from a database.

    Parameters
    ----------
    covered : the messages that replacements cover, by version
    window : what a model would be shown now
    before : the artifact index as of the last message that is covered
    index : the artifact index now
    """

    covered: tuple[Row, ...]
    window: tuple[Row, ...]
    before: tuple[Row, ...]
    index: tuple[Row, ...]


Answerer = Callable[[Question], str]
Judge = Callable[[Question, str], float]


def load(
    connection: psycopg.Connection[Any],
    context_id: uuid.UUID | str,
    budget: int,
    versions: Iterable[int] | None = None,
    at: int | None = None,
) -> Material:
    """Read what probes are made of.

    Parameters
    ----------
    connection : an open connection to a migrated database
    context_id : the context
    budget : of the window, in tokens
    versions : which messages count as covered; None for those that a replacement covers
    at : as of this version; None for now
    """
    chosen = None if versions is None else set(versions)
    covered: list[Row] = []
    with connection.cursor(row_factory=dict_row) as cursor:
        if at is None:
            cursor.execute("select version from kata.get_context(%s)", [context_id])
            at = int((cursor.fetchone() or {"version": 0})["version"])
        after = 0
        while True:
            page = cursor.execute(_PAGE, [context_id, after, at]).fetchall()
            covered += [
                row
                for row in page
                if (row["compacted_into"] is not None if chosen is None else row["version"] in chosen)
            ]
            if not page:
                break
            after = page[-1]["version"]
        window = cursor.execute(
            'select * from kata."window"(%s, %s, %s)', [context_id, budget, at]
        ).fetchall()
        artifacts = "select * from kata.artifacts(%s, at => %s)"
        last = covered[-1]["version"] if covered else 0
        before = cursor.execute(artifacts, [context_id, last]).fetchall()
        index = cursor.execute(artifacts, [context_id, at]).fetchall()
    return Material(tuple(covered), tuple(window), tuple(before), tuple(index))


def generate(covered: Sequence[Row], per_kind: int = 10) -> list[Question]:
    """Make questions from covered messages: at most so many of a kind, spread over the messages.

    Parameters
    ----------
    covered : message rows, by version
    per_kind : how many questions of each kind
    """
    makers = {"recall": _recall, "artifact": _artifact, "continuation": _continuation, "decision": _decision}
    questions: list[Question] = []
    for kind in KINDS:
        # Asked twice, a question is about the later message.
        found = {question.text: question for question in makers[kind](covered) if question.expected}
        questions += _spread(list(found.values()), per_kind)
    return questions


def evaluate(questions: Iterable[Question], answer: Answerer, judge: Judge | None = None) -> Report:
    """Put questions to an answerer and score the answers.

    Parameters
    ----------
    questions : what to ask
    answer : gets a question and returns an answer: a model that sees the window, for example
    judge : gets a question and an answer and returns 0 to 1; None for `names_expected`
    """
    scores = []
    for question in questions:
        said = answer(question)
        scores.append(Score(question, said, (judge or names_expected)(question, said)))
    return Report(tuple(scores))


def names_expected(question: Question, answer: str) -> float:
    """Return the share of what was expected that an answer names, in any case and spacing."""
    said = _plain(answer)
    return fmean(_plain(term) in said for term in question.expected)


def reads_all(window: Iterable[Row], index: Iterable[Row]) -> Answerer:
    """Return an answerer that returns the whole window and index: with it, a report needs no model.

    Its score is that of a perfect reader of both.
    """
    everything = "\n".join([*map(text_of, window), *map(_index_line, index)])
    return lambda _: everything


def retention(
    covered: Iterable[Row], window: Iterable[Row], index: Iterable[Row], before: Iterable[Row] = ()
) -> Retention:
    """Look for every artifact of the covered messages in the window and in the artifact index.

    Parameters
    ----------
    covered : the messages whose artifacts are looked for, read anew, by other means than the index
    window : the window now
    index : the artifact index now
    before : artifact rows that are looked for, too: the index as of a version before compaction
    """
    wanted = {artifact: None for message in covered for artifact in named(message)}
    wanted |= {(row["kind"], row["ref"]): None for row in before}
    held = {(row["kind"], row["ref"]) for row in index}
    shown = "\n".join(map(text_of, window))
    missing = [
        (kind, ref)
        for kind, ref in wanted
        if (kind, ref) not in held and not re.search(rf"(?<!\w){re.escape(ref)}(?!\w)", shown)
    ]
    return Retention(tuple(wanted), tuple(missing))


def summary_places(window: Sequence[Row]) -> list[float]:
    """Return where each summary of a window begins, from 0 (at the start of its tokens) to 1."""
    total = sum(row["token_count"] for row in window)
    return [
        (row["running_tokens"] - row["token_count"]) / total
        for row in window
        if row["kind"] == "summary" and total
    ]


def named(message: Row) -> Iterator[Artifact]:
    """Yield what a message names beyond doubt: tools called, addresses, and what keys of JSON say."""
    for name, _ in _calls(message):
        yield "tool_call", name
    for document in _documents(message):
        for key, leaf in _leaves(document):
            value = str(leaf)
            if _ID_KEY.search(key) and not _NO_ID.search(key) and re.fullmatch(r"[\w.@-]{2,64}", value):
                yield "id", value
            elif (
                _FILE_KEY.search(key)
                and re.fullmatch(r"[^\s:*?\"<>|]{1,200}", value)
                and re.search(r"[^\W\d_]", value)
            ):
                yield "file", value.removeprefix("./")
    for url in _URL.findall(text_of(message)):
        if "@" not in url and len(url.encode()) <= 2000:
            yield "url", url.rstrip(".,:;!?*_~'")


def text_of(row: Row) -> str:
    """Return all that a message says: its content, the tools that it calls, the strings in JSON."""
    strings = [
        text for document in _documents(row) for pair in _leaves(document) for text in map(_word, pair)
    ]
    return "\n".join([row.get("content") or "", *(name for name, _ in _calls(row)), *strings])


def _recall(covered: Sequence[Row]) -> Iterator[Question]:
    """What tools returned, and the particulars of what users said."""
    calls = {call["id"]: call for message in covered for call in message.get("tool_calls") or []}
    for message in covered:
        version = message["version"]
        if message["role"] == "tool":
            call = calls.get(message.get("tool_call_id"))
            facts = [
                (key, _word(leaf))
                for document in _documents(message)
                for key, leaf in _leaves(document)
                if key and not isinstance(leaf, bool) and 3 <= len(_word(leaf)) <= 60
            ]
            if call and facts:
                key, fact = facts[version % len(facts)]
                name, arguments = _called(call)
                asked = f"What did {name}({arguments}) return as {key}?"
                alike = tuple(dict.fromkeys(leaf for name, leaf in facts if name == key))
                yield Question(
                    "recall", asked, alike[:_MOST_TERMS] if len(alike) > 1 else (fact,), (version,)
                )
        elif message["role"] == "user":
            start, rest = _split(message.get("content") or "")
            asked = f'The user wrote a message that begins "{start}". Which particulars did it have?'
            yield Question("recall", asked, _terms(rest), (version,))


def _artifact(covered: Sequence[Row]) -> Iterator[Question]:
    """Which artifacts of each sort came up."""
    asked = {
        "tool_call": "Which tools have been called so far?",
        "file": "Which files have been named so far?",
        "url": "Which addresses have been named so far?",
        "id": "Which identifiers (orders, users, payments, …) have come up so far?",
    }
    told: dict[Artifact, int] = {}
    for message in covered:
        for artifact in named(message):
            told.setdefault(artifact, message["version"])
    for kind, text in asked.items():
        refs = [(ref, version) for (one, ref), version in told.items() if one == kind]
        # A few at a time, because no answer should be a page.
        for place in range(0, len(refs), 10):
            part = refs[place : place + 10]
            versions = sorted({version for _, version in part})
            since = f" Those first named from version {versions[0]} on." if place else ""
            yield Question("artifact", text + since, tuple(ref for ref, _ in part), tuple(versions))


def _continuation(covered: Sequence[Row]) -> Iterator[Question]:
    """Where the work stood when the covered messages end."""
    newest = list(reversed(covered))
    for message in newest:
        if message["role"] == "user" and _terms(message.get("content") or ""):
            asked = "What did the user last say or ask for?"
            yield Question("continuation", asked, _terms(message["content"]), (message["version"],))
            break
    for message in newest:
        for name, arguments in reversed(_calls(message)):
            asked = "Which tool was called last, and with what?"
            yield Question("continuation", asked, (name, *_given(arguments)), (message["version"],))
            break
        else:
            continue
        break
    for message in newest:
        if message["role"] == "assistant" and _terms(message.get("content") or ""):
            asked = "What did the assistant last say to the user?"
            yield Question("continuation", asked, _terms(message["content"]), (message["version"],))
            break


def _decision(covered: Sequence[Row]) -> Iterator[Question]:
    """What the agent did that changed something, and what the user chose when asked."""
    counts: dict[str, int] = {}
    question: Row | None = None
    for message in covered:
        for name, arguments in _calls(message):
            counts[name] = counts.get(name, 0) + 1
            if not _LOOKS.match(name):
                asked = (
                    f"What was decided when {name} was called for time {counts[name]}: with which arguments?"
                )
                yield Question("decision", asked, _given(arguments), (message["version"],))
        said = message.get("content") or ""
        if message["role"] == "user" and question is not None and _ASSENT.match(said):
            asked = f'The assistant asked: "…{question["content"][-160:]}" What did the user decide?'
            yield Question("decision", asked, _terms(said), (question["version"], message["version"]))
        if message["role"] in ("user", "assistant"):
            question = message if message["role"] == "assistant" and "?" in said else None


def _calls(message: Row) -> list[tuple[str, Any]]:
    """Return the tools that a message calls with their arguments, as JSON where they are."""
    calls = map(_called, message.get("tool_calls") or [])
    return [(name, _json(arguments)) for name, arguments in calls]


def _called(call: Row) -> tuple[str, str]:
    """Return the tool that a call names, and its arguments or input."""
    made = call.get("function") or call["custom"]
    return made["name"], made.get("arguments") or made.get("input", "")


def _documents(message: Row) -> Iterator[Any]:
    """Yield the arguments of a message's calls, and its content if it is JSON."""
    for _, arguments in _calls(message):
        yield arguments
    content = message.get("content") or ""
    if content[:1] in ("{", "["):
        document = _json(content)
        if not isinstance(document, str):
            yield document


def _json(text: str) -> Any:
    """Return a text as JSON, or as it is."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _leaves(node: Any) -> Iterator[tuple[str, Any]]:
    """Yield every value in JSON with the key that it, or its array, stands under."""
    waiting = [("", node)]
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, dict):
            waiting += reversed(value.items())
        elif isinstance(value, list):
            waiting += [(key, inner) for inner in reversed(value)]
        elif value is not None:
            yield key, value


def _word(value: Any) -> str:
    """Return a value of JSON in writing."""
    return value if isinstance(value, str) else json.dumps(value)


def _given(arguments: Any) -> tuple[str, ...]:
    """Return the first few arguments that are short enough to be named."""
    words = dict.fromkeys(_word(leaf) for _, leaf in _leaves(arguments))
    return tuple(word for word in words if 2 <= len(word) <= 60 and "\n" not in word)[:_MOST_TERMS]


def _terms(text: str) -> tuple[str, ...]:
    """Return the most distinctive words of a text: those with digits, then names, then the longest."""
    words = re.findall(r"[\w@$%#][\w@.'/$%#-]*\w|\w", text)
    with_digits = [word for word in words if re.search(r"\d", word)]
    names = [word for before, word in pairwise(words) if word[:1].isupper() and before[-1:].islower()]
    long = sorted((word for word in words if len(word) >= 6), key=len, reverse=True)
    return tuple(dict.fromkeys([*with_digits, *names, *long]))[:_MOST_TERMS]


def _split(text: str) -> tuple[str, str]:
    """Return how a text begins, at most forty characters to the end of a word, and the rest."""
    found = re.match(r"\s*(.{1,40})(?:\s|$)", text, re.DOTALL)
    return (" ".join(found[1].split()), text[found.end() :]) if found else ("", text)


def _plain(text: str) -> str:
    """Return a text in one case, with single spaces."""
    return " ".join(text.casefold().split())


def _index_line(row: Row) -> str:
    """Return what a reader sees of an artifact."""
    versions = f"versions {row['first_version']} to {row['last_version']}"
    return f"{row['kind']} {row['ref']} {json.dumps(row['detail'])} {versions}"


def _spread(items: Sequence[T], most: int) -> list[T]:
    """Return at most so many items, evenly from the first to the last."""
    if len(items) <= most:
        return list(items)
    return [items[place * (len(items) - 1) // max(most - 1, 1)] for place in range(most)]
