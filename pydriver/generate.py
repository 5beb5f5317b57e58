"""`make generate`: writes what follows from the SQL functions, as a freshly migrated database describes them.

    generated/rows.py           a dataclass for every shape of result
    generated/statements.py     the statement of every function
    generated/methods_async.py  a method for every function, in classes for databases and for contexts
    generated/methods.py        the same without async
    generated/client.py         driver/client_async.py without async
    docs/sql.md                 the reference

Nothing of these files is written by hand, and a new function needs no line here: pg_proc says what it
takes and returns, its COMMENT what it means, the folder of its file to which family it belongs. What
pg_proc cannot say stands in the tables below.
"""

import ast
import json
import re
import subprocess
import sys
import tempfile
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from keyword import iskeyword
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import TupleRow

from kata_context import migrate
from kata_context.database_errors import CATALOGUE
from kata_context.embedded import Server

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "pydriver" / "kata_context"
GENERATED = PACKAGE / "generated"
FUNCTIONS = ROOT / "sql" / "functions"

# Conversations whose digests docs/compaction.md shows, and what they are; there long quotes are cut.
CONVERSATIONS = ROOT / "tests" / "data" / "conversations"
DIGESTED = {
    "airline-task2-trial0": "Flights are downgraded",
    "airline-task28-trial0": "Flights are cancelled",
    "swe-agent-marshmallow-1867": "A bug is fixed",
}
DIGESTS = re.compile(
    r"(<!-- digests: written by make generate -->\n).*?(?=<!-- end of digests -->)", re.DOTALL
)
WIDTH, QUOTED = 150, 8

# Families in the order in which one meets them; others follow, by name.
FAMILIES = (
    "contexts", "log", "window", "forks", "history", "view", "compaction", "artifacts", "tokens", "erasure",
    "admin",
)  # fmt: skip
# Set-returning functions that return exactly one row, and those that return one or none.
ONE_ROW = {
    "begin_compaction", "commit_compaction", "common_ancestor", "compact", "compaction_status", "get_context",
    "get_message", "get_or_create_context", "purge_context", "usage",
}  # fmt: skip
ONE_ROW_OR_NONE = {"claim_due_compaction"}
# Functions that return a value which may be null.
MAYBE_NULL = {"environment", "find_context"}
# Parameters without a default that may be null.
NULLABLE_PARAMETERS = {("append_message", "content"), ("commit_compaction", "summary")}
# Columns that are never null, whatever function returns them, but for the exceptions.
NEVER_NULL = {
    "budget", "bytes_per_token", "cause_id", "change", "checkpoints", "claimed_by", "compaction_id",
    "context_id", "covered", "created", "created_at", "depth", "description", "due", "erased_at", "erased_by",
    "failures", "first_version", "group_version", "headline", "in_progress", "kept", "kind",
    "last_version", "lease_expires_at", "margin", "mentions", "merged_summaries", "message_count",
    "needs_summary",
    "open_calls", "ordinal", "over_budget", "pinned", "policy", "position", "problem", "purged_by",
    "rank", "raw_tokens", "reason", "ref", "removed", "result_tokens", "role", "running_tokens",
    "score", "segment_id", "side", "source_tokens", "started_at", "status", "strategy", "summary_budget",
    "tenant", "threshold_tokens", "token_count", "token_source", "tokenizer", "updated_at", "version",
    "view_tokens", "what",
}  # fmt: skip
BUT_NULL = {
    ("common_ancestor", "segment_id"), ("compactions", "result_tokens"), ("history", "role"),
    ("history", "token_count"), ("verify", "version"),
}  # fmt: skip
# Columns that are null elsewhere, but not here.
NOT_NULL = {
    ("checkpoints", "name"), ("forks", "fork_version"), ("policy_presets", "name"), ("purges", "purged_at"),
    ("tokenizers", "name"), ("verify", "detail"),
}  # fmt: skip
# Names of results where that of the function will not do.
ROW_NAMES = {
    "append": "AppendedRow",
    "begin_compaction": "CompactionLeaseRow",
    "commit_compaction": "CompactedRow",
    "get_context": "ContextRow",
    "get_message": "MessageRow",
    "get_or_create_context": "FoundOrCreatedRow",
}
# Functions that make a context: as a method of a database they have a twin under this name that returns a
# handle; as a method of a context they return one themselves.
MAKES_CONTEXT = {"create_context": "create", "fork": ""}
# What the driver counts tokens of when it is given none, and by what of kata_context.tokens.
COUNTED = {"append": "MESSAGES", "append_message": "MESSAGE"}
# Names that the clients have for themselves.
RESERVED = {"close", "context", "create", "open", "transaction", "using", "id"}

RESULT_TYPES = {
    "bigint": "int",
    "boolean": "bool",
    "double precision": "float",
    "int8multirange": "Multirange[int]",
    "integer": "int",
    "interval": "timedelta",
    "jsonb": "Json",
    "numeric": "Decimal",
    "real": "float",
    "text": "str",
    "timestamp with time zone": "datetime",
    "uuid": "UUID",
}
# What a caller may pass, and what makes a parameter of psycopg out of it.
PARAMETER_TYPES = RESULT_TYPES | {
    "int8multirange": "Versions",
    "numeric": "Decimal | float",
    "uuid": "UUID | str",
    "text[]": "Iterable[str]",
}
ADAPTERS = {"jsonb": "as_json", "int8multirange": "as_versions", "text[]": "as_texts"}

DESCRIBE = """
select p.proname::text, p.provolatile in ('i', 's'), p.proretset,
  format_type(p.prorettype, null),
  obj_description(p.oid, 'pg_proc'),
  coalesce(p.proargnames, '{}'), p.proargmodes::text[],
  array(
    select format_type(t.type, null)
    from unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])) with ordinality t(type, ordinality)
    order by t.ordinality),
  array(select pg_get_function_arg_default(p.oid, n) from generate_series(1, p.pronargs) n order by n)
from pg_proc p
where p.pronamespace = 'kata'::regnamespace and p.prokind = 'f'
order by p.proname
"""


@dataclass(frozen=True)
class Parameter:
    """A parameter of a function.

    Parameters
    ----------
    default : its SQL expression, None where there is none
    nullable : whether null may be passed although there is no default
    """

    name: str
    type: str
    default: str | None
    nullable: bool

    @property
    def identifier(self) -> str:
        """Its name in Python."""
        return f"{self.name}_" if iskeyword(self.name) else self.name

    @property
    def python_default(self) -> str | None:
        """Its default as a Python expression; None of an SQL expression that is no literal means that one."""
        if self.default is None or re.match(r"null\b", self.default, re.IGNORECASE):
            return None if self.default is None else "None"
        literal = re.sub(r"::[\w ]+$", "", self.default)
        if self.type in ("bigint", "integer", "numeric", "double precision", "real", "text"):
            return repr(ast.literal_eval(literal)).replace("'", '"')
        return {"true": "True", "false": "False"}.get(literal, "None")

    @property
    def python_type(self) -> str:
        """What Python callers pass."""
        given = PARAMETER_TYPES.get(self.type) or f"Numbers[{RESULT_TYPES[self.type.removesuffix('[]')]}]"
        optional = self.nullable or self.python_default == "None"
        return f"{given} | None" if optional and given != "Json" else given

    @property
    def signature(self) -> str:
        """The parameter in a signature."""
        default = "" if self.python_default is None else f" = {self.python_default}"
        return f"{self.identifier}: {self.python_type}{default}"

    @property
    def argument(self) -> str:
        """What is handed to psycopg."""
        adapter = ADAPTERS.get(self.type) or ("as_numbers" if self.type.endswith("[]") else "")
        return f"{adapter}({self.identifier})" if adapter else self.identifier

    @property
    def sql(self) -> str:
        """The parameter in a call in SQL."""
        value = f"%s::{self.type}"
        if self.default is not None and self.python_default == "None" and not self.default.startswith("NULL"):
            value = f"coalesce({value}, {self.default})"
        return f"{quoted(self.name)} => {value}"

    @property
    def documentation(self) -> str:
        """The parameter in the reference."""
        default = "" if self.default is None else f" = {re.sub('::[a-z0-9 ]+$', '', self.default).lower()}"
        return f"{self.name} {short(self.type)}{default}"


@dataclass(frozen=True)
class Function:
    """A function of schema kata.

    Parameters
    ----------
    family : the folder of its file
    columns : name and type of what it returns as rows; empty where it returns a value or nothing
    """

    name: str
    family: str
    reads: bool
    returns_set: bool
    returns: str
    comment: str
    parameters: tuple[Parameter, ...]
    columns: tuple[tuple[str, str], ...]

    @cached_property
    def fields(self) -> tuple[tuple[str, str], ...]:
        """Name and Python type of its columns."""
        return tuple((name, self._field_type(name, type_)) for name, type_ in self.columns)

    def _field_type(self, name: str, type_: str) -> str:
        found = result_type(type_)
        place = (self.name, name)
        never_null = (name in NEVER_NULL and place not in BUT_NULL) or place in NOT_NULL
        return found if never_null or found == "Json" else f"{found} | None"

    @property
    def constant(self) -> str:
        """The name of its statement."""
        return self.name.upper()

    @property
    def is_bound(self) -> bool:
        """Whether a context has it as a method."""
        return bool(self.parameters) and self.parameters[0].name == "context_id"

    @property
    def kind(self) -> str:
        """What comes back: nothing, one row or value, one that may be missing, or rows."""
        if self.returns == "void":
            return "nothing"
        if self.name in ONE_ROW_OR_NONE or self.name in MAYBE_NULL:
            return "one or none"
        return "rows" if self.returns_set and self.name not in ONE_ROW else "one"

    def item(self, shapes: dict[Any, str]) -> str:
        """The Python type of a row, or of the value."""
        if self.returns == "void":
            return "None"
        return shapes[self.fields] if self.fields else result_type(self.returns)

    def result(self, shapes: dict[Any, str]) -> str:
        """The Python type of what its method returns."""
        item = self.item(shapes)
        optional = item if item == "Json" else f"{item} | None"
        return {"rows": f"list[{item}]", "one or none": optional}.get(self.kind, item)

    @property
    def sql(self) -> str:
        """The statement that calls it."""
        call = f"kata.{quoted(self.name)}({', '.join(parameter.sql for parameter in self.parameters)})"
        if self.columns:
            return f"select {', '.join(f'r.{quoted(name)}' for name, _ in self.columns)} from {call} r"
        return f"select r.value from {call} r(value)" if self.returns_set else f"select {call}"

    @property
    def key(self) -> int | None:
        """The place of its idempotency key among the arguments."""
        names = [parameter.name for parameter in self.parameters]
        return names.index("idempotency_key") if "idempotency_key" in names else None


def quoted(name: str) -> str:
    """Quote names that are words of SQL."""
    return f'"{name}"' if name in ("position", "window") else name


def short(type_: str) -> str:
    """The short name of a type."""
    return type_.replace("timestamp with time zone", "timestamptz")


def result_type(type_: str) -> str:
    """The Python type that psycopg makes of a type."""
    if type_.endswith("[]"):
        return f"list[{RESULT_TYPES[type_.removesuffix('[]')]}]"
    return RESULT_TYPES[type_]


def public_files() -> list[Path]:
    """Return the files of the public functions."""
    return [file for file in FUNCTIONS.glob("*/*.sql") if file.parent.name != "internal"]


def describe(connection: psycopg.Connection[TupleRow]) -> list[Function]:
    """Return the functions of schema kata, by family and name."""
    families = {file.stem: file.parent.name for file in public_files()}
    found = []
    for row in connection.execute(DESCRIBE):
        name, reads, returns_set, returns, comment, names, modes, types, defaults = row
        arguments = list(zip(names, modes or ["i"] * len(names), types, strict=True))
        inputs = [(argument, type_) for argument, mode, type_ in arguments if mode in "ib"]
        found.append(
            Function(
                name=name,
                family=families[name],
                reads=reads,
                returns_set=returns_set,
                returns=returns,
                comment=comment,
                parameters=tuple(
                    Parameter(argument, type_, default, (name, argument) in NULLABLE_PARAMETERS)
                    for (argument, type_), default in zip(inputs, defaults, strict=True)
                ),
                columns=tuple((column, type_) for column, mode, type_ in arguments if mode in "bot"),
            )
        )
    for function in found:
        check(function)
    order = {family: place for place, family in enumerate(FAMILIES)}
    return sorted(found, key=lambda f: (order.get(f.family, len(order) - 1.5), f.family, f.name))


def check(function: Function) -> None:
    """Refuse what would make a method that misleads."""
    if function.name in RESERVED or iskeyword(function.name):
        raise SystemExit(
            f"kata.{function.name} cannot be a method: the clients have that name for something else"
        )
    if function.columns and not function.returns_set and function.name not in ONE_ROW:
        raise SystemExit(f"kata.{function.name} returns one row: name it in ONE_ROW of {Path(__file__).name}")
    says_one = re.search(r"^Returns one\b", function.comment, re.MULTILINE) is not None
    if function.columns and says_one != (function.name in ONE_ROW | ONE_ROW_OR_NONE):
        raise SystemExit(f"kata.{function.name}: its COMMENT and ONE_ROW of {Path(__file__).name} disagree")


def name_shapes(functions: Iterable[Function]) -> dict[Any, str]:
    """Return a class name for every distinct shape of rows."""
    candidates: dict[Any, Counter[str]] = {}
    given: dict[Any, str] = {}
    for function in functions:
        if function.fields:
            stem = re.sub(r"^(get|list)_", "", function.name)
            stem = re.sub(r"(?<![us])s$", "", stem)
            name = "".join(word.capitalize() for word in stem.split("_")) + "Row"
            candidates.setdefault(function.fields, Counter())[name] += 1
            if function.name in ROW_NAMES:
                given[function.fields] = ROW_NAMES[function.name]
    shapes = {
        fields: given.get(fields) or min(names, key=lambda name: (-names[name], len(name), name))
        for fields, names in candidates.items()
    }
    twice = [name for name, times in Counter(shapes.values()).items() if times > 1]
    if twice:
        raise SystemExit(
            f"two shapes of rows are called {twice[0]}: name one in ROW_NAMES of {Path(__file__).name}"
        )
    return shapes


IMPORTS = """from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from psycopg.types.multirange import Multirange

from kata_context import tokens
from kata_context.generated import statements
from kata_context.driver.call import Call, record, scalar
from kata_context.generated.rows import {}
from kata_context.driver.values import (
    Json, Numbers, Versions, as_json, as_numbers, as_texts, as_uuid, as_versions,
)

"""
HEADER = '"""{}\n\nWritten by pydriver/generate.py; `make generate` writes it anew.\n"""\n\n'


def rows_module(functions: list[Function], shapes: dict[Any, str]) -> str:
    """Return the text of rows.py."""
    users: dict[Any, list[str]] = {}
    for function in functions:
        if function.fields:
            users.setdefault(function.fields, []).append(function.name)
    text = HEADER.format("What the functions return as rows.") + IMPORTS.format("nothing")
    for fields, users_ in users.items():
        text += f"@dataclass(frozen=True, slots=True)\nclass {shapes[fields]}:\n"
        text += f'    """A row of {listed(users_)}."""\n\n'
        text += "".join(f"    {name}: {type_}\n" for name, type_ in fields) + "\n\n"
    return text


def listed(names: list[str]) -> str:
    """Join names as prose does."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def calls_module(functions: list[Function], shapes: dict[Any, str]) -> str:
    """Return the text of statements.py."""
    text = HEADER.format("The statements that call the functions, columns and arguments by name.")
    text += IMPORTS.format(", ".join(sorted(set(shapes.values()))))
    for function in functions:
        item = function.item(shapes)
        make = f"record({item})" if function.fields else "scalar"
        text += (
            f'{function.constant}: Call[{item}] = Call("{function.name}", {statement(function.sql)}, {make}'
        )
        text += ", reads=True" if function.reads else ""
        text += f", key={function.key}" if function.key is not None else ""
        text += f", count=tokens.{COUNTED[function.name]}" if function.name in COUNTED else ""
        text += ")\n"
    return text


def statement(sql: str) -> str:
    """Return a statement as bytes, in lines of a fitting length."""
    lines = textwrap.wrap(sql, 96, break_long_words=False)
    return "".join(f"\nb{line + (' ' if line is not lines[-1] else '')!r}" for line in lines)


def methods_module(functions: list[Function], shapes: dict[Any, str]) -> str:
    """Return the text of methods_async.py."""
    text = HEADER.format("The functions as methods.")
    text += IMPORTS.format(", ".join(sorted(set(shapes.values())))) + 'T = TypeVar("T")\n\n\n'
    text += (
        'class AsyncMethods(ABC):\n    """A method for every function of schema kata."""\n\n'
        "    @abstractmethod\n"
        "    async def _run(self, call: Call[T], arguments: tuple[Any, ...]) -> list[T]:\n"
        '        """Run a call and return its rows."""\n\n'
    )
    for function in functions:
        text += method(function, shapes)
        twin = MAKES_CONTEXT.get(function.name)
        if twin:
            text += making_method(function, twin)
    text += (
        "\nclass AsyncContext:\n"
        '    """A method for every function that takes a context first.\n\n'
        "    Parameters\n    ----------\n    database : what runs the calls\n    id : of the context\n"
        '    """\n\n    __slots__ = ("database", "id")\n\n'
        "    def __init__(self, database: AsyncMethods, id: UUID | str) -> None:\n"
        "        self.database = database\n        self.id = as_uuid(id)\n\n"
        "    def __repr__(self) -> str:\n"
        '        return f"{type(self).__name__}({str(self.id)!r})"\n\n'
    )
    for function in functions:
        if function.is_bound:
            text += bound_method(function, shapes)
    return text


def signature(parameters: Iterable[Parameter]) -> str:
    """Return parameters as in a definition: the first that has a default is the last that has a place."""
    shown, optional = ["self"], 0
    for parameter in parameters:
        optional += parameter.python_default is not None
        if optional == 2:
            shown.append("*")
            optional += 1
        shown.append(parameter.signature)
    return ", ".join(shown)


def forwarded(parameters: Iterable[Parameter]) -> Iterator[str]:
    """Yield the arguments that pass parameters on."""
    optional = 0
    for parameter in parameters:
        optional += parameter.python_default is not None
        yield f"{parameter.identifier}={parameter.identifier}" if optional > 1 else parameter.identifier


def method(function: Function, shapes: dict[Any, str]) -> str:
    """Return the method of a function."""
    arguments = ", ".join(parameter.argument for parameter in function.parameters)
    arguments += "," if len(function.parameters) == 1 else ""
    run = f"await self._run(statements.{function.constant}, ({arguments}))"
    body = {
        "nothing": run,
        "rows": f"return {run}",
        "one": f"return ({run})[0]",
        "one or none": f"return next(iter({run}), None)",
    }[function.kind]
    return (
        f"    async def {function.name}({signature(function.parameters)}) -> {function.result(shapes)}:\n"
        f"{docstring(function)}\n        {body}\n\n"
    )


def making_method(function: Function, name: str) -> str:
    """Return the method that returns a handle of the context which a function makes."""
    return (
        f'    async def {name}({signature(function.parameters)}) -> "AsyncContext":\n'
        f"{quoted_text([[first_sentence(function)], [f'As {function.name}, but returns a handle of it.']])}\n"
        f"        return AsyncContext(self, await self.{function.name}("
        f"{', '.join(forwarded(function.parameters))}))\n\n"
    )


def bound_method(function: Function, shapes: dict[Any, str]) -> str:
    """Return the method of a context that calls a function."""
    parameters = function.parameters[1:]
    makes = function.name in MAKES_CONTEXT
    returns = '"AsyncContext"' if makes else function.result(shapes)
    arguments = ", ".join(["self.id", *list(forwarded(function.parameters))[1:]])
    run = f"await self.database.{function.name}({arguments})"
    if makes:
        run = f"AsyncContext(self.database, {run})"
    return (
        f"    async def {function.name}({signature(parameters)}) -> {returns}:\n"
        f"{quoted_text([[first_sentence(function)], [f'See AsyncKata.{function.name}.']])}\n"
        f"        {'' if returns == 'None' else 'return '}{run}\n\n"
    )


def first_sentence(function: Function) -> str:
    """Return what a function does, in one line."""
    return re.split(r"(?<=\.)\s", one_line(function.comment))[0]


FACTS = ("Errors", "Locks", "Cost")


@dataclass(frozen=True)
class Prose:
    """A COMMENT in its parts.

    Parameters
    ----------
    paragraphs : what it says in sentences
    parameters : of each parameter, or several at once, what it means
    facts : errors, locks and cost
    """

    paragraphs: list[str]
    parameters: dict[str, str]
    facts: dict[str, str]

    @classmethod
    def of(cls, function: Function) -> "Prose":
        """Read the COMMENT of a function."""
        known = "|".join(parameter.name for parameter in function.parameters) or "(?!)"
        one = rf"(?:{known})(?:\s\([^)]*\))?"
        # It opens a line or a sentence.
        heading = re.compile(
            rf"(?:^ *|(?<=[.;] ))({one}(?:,?\s(?:and\s)?{one})*|{'|'.join(FACTS)}):\s", re.MULTILINE
        )
        prose = cls([], {}, {})
        for paragraph in function.comment.split("\n\n"):
            lead, *entries = heading.split(paragraph)
            if lead.strip():
                prose.paragraphs.append(one_line(lead))
            for head, text in zip(entries[::2], entries[1::2], strict=True):
                (prose.facts if head in FACTS else prose.parameters)[one_line(head)] = one_line(text)
        return prose


def one_line(text: str) -> str:
    """Return a text without its line breaks."""
    return " ".join(text.split())


def docstring(function: Function) -> str:
    """Return the COMMENT of a function as a docstring, SQLSTATEs as the exceptions that they become."""
    names = {state: error.__name__ for state, error in CATALOGUE.items()}
    prose = Prose.of(function)
    summary, *rest = prose.paragraphs
    first, _, more = summary.partition(". ")
    blocks = [[f"{first.removesuffix('.')}."], *([[more]] if more else []), *([text] for text in rest)]
    if prose.parameters:
        blocks.append(["Parameters", "----------"])
        blocks[-1] += [f"{name} : {text}" for name, text in prose.parameters.items()]
    if "Errors" in prose.facts:
        raised = re.sub(r"\bKC\d{3}\b", lambda found: names[found[0]], prose.facts["Errors"])
        blocks.append(["Raises", "------", raised])
    notes = [f"{fact}: {prose.facts[fact]}" for fact in ("Locks", "Cost") if fact in prose.facts]
    if notes:
        blocks.append(notes)
    return quoted_text(blocks)


def quoted_text(blocks: list[list[str]]) -> str:
    """Return paragraphs, each of entries that begin a line, as the docstring of a method."""
    margin = " " * 8
    texts = [
        "\n".join(
            textwrap.fill(
                entry, 104, initial_indent=margin, subsequent_indent=f"{margin}    " if hangs else margin
            )
            for entry in entries
        )
        for entries in blocks
        for hangs in [len(entries) > 1]
    ]
    body = "\n\n".join(texts).lstrip().replace("\\", "\\\\")
    return f'{margin}"""{body}"""' if "\n" not in body else f'{margin}"""{body}\n{margin}"""'


def without_async(text: str) -> str:
    """Return the twin of a module that needs no event loop; what is marked as `async only` has none."""
    text = re.sub(r" *# async only\n.*?# end of async only\n", "", text, flags=re.DOTALL)
    for pattern, replacement in (
        (r"\(await (.*)\)\[0\]", r"\1[0]"),
        (r"await asyncio\.to_thread\(([\w.]+), ", r"\1("),
        (r"\bfor asyncio\b", "for threads"),
        (r"\bAsync(?=[A-Z])", ""),
        (r"\bdriver\.client_async\b", "generated.client"),
        (r"_async\b", ""),
        (r"\basync (?=def|with|for)", ""),
        (r"\bawait ", ""),
        (r"\basynccontextmanager\b", "contextmanager"),
        (r"\b__aenter__\b", "__enter__"),
        (r"\b__aexit__\b", "__exit__"),
        (r"\basyncio\.Lock\b", "threading.Lock"),
        (r"\basyncio\.sleep\b", "time.sleep"),
        (r"\bimport asyncio\n", "import threading\nimport time\n"),
    ):
        text = re.sub(pattern, replacement, text)
    return text


def reference(functions: list[Function]) -> str:
    """Return the text of docs/sql.md."""
    text = (
        "# SQL reference\n\nEvery function of schema `kata`, by family, as its COMMENT in the database "
        "describes it (`\\df+ kata.*` in psql).\nErrors are explained in [errors.md](errors.md). "
        "Written by `make generate`.\n"
    )
    for family in dict.fromkeys(function.family for function in functions):
        text += f"\n## {family.replace('_', ' ').capitalize()}\n"
        for function in functions:
            if function.family == family:
                call = f"kata.{function.name}({', '.join(p.documentation for p in function.parameters)})"
                call = textwrap.fill(call, 110, subsequent_indent="    ", break_long_words=False)
                text += f"\n### {function.name}\n\n```sql\n{call}\n  → {documented_result(function)}\n```\n\n"
                text += f"{markdown(function)}\n"
    return text


def documented_result(function: Function) -> str:
    """Return what a function returns, for the reference."""
    if not function.columns:
        return f"{'rows: ' if function.returns_set else ''}{short(function.returns)}"
    kind = {"one": "one row", "one or none": "one row or none"}.get(function.kind, "rows")
    columns = ", ".join(f"{name} {short(type_)}" for name, type_ in function.columns)
    return textwrap.fill(f"{kind}: {columns}", 106, subsequent_indent="    ", break_long_words=False)


def markdown(function: Function) -> str:
    """Return the COMMENT of a function as Markdown."""
    prose = Prose.of(function)
    blocks = list(prose.paragraphs)
    if prose.parameters:
        listed_ = [f"- `{name}`: {text}" for name, text in prose.parameters.items()]
        blocks.insert(1, "\n".join(listed_))
    if prose.facts:
        blocks.append("  \n".join(f"{fact}: {text}" for fact, text in prose.facts.items()))
    return "\n\n".join(block.replace("*", "\\*").replace("<", "&lt;") for block in blocks)


# What raises an error although no function says so.
RAISED_ELSEWHERE = {"KC015": "UPDATE, DELETE and TRUNCATE of the log"}
TABLE = re.compile(r"(<!-- errors: written by make generate -->\n).*?(?=<!-- end of errors -->)", re.DOTALL)


def error_table(functions: list[Function]) -> str:
    """Return the rows of docs/errors.md: every error that somebody may meet, and who raises it."""
    text = "\n| SQLSTATE | meaning | exception | HTTP | raised by |\n|---|---|---|---|---|\n"
    for state, error in CATALOGUE.items():
        raising = [f"`{f.name}`" for f in functions if state in errors_of(f)]
        raising += [RAISED_ELSEWHERE[state]] if state in RAISED_ELSEWHERE else []
        if raising:
            text += (
                f"| {state} | {error.title} | `{error.__name__}` | {error.status} | {', '.join(raising)} |\n"
            )
    return text + "\n"


def errors_of(function: Function) -> set[str]:
    """Return the SQLSTATEs that a function says it raises."""
    return set(re.findall(r"\bKC\d{3}\b", Prose.of(function).facts.get("Errors", "")))


def formatted(text: str, name: str) -> str:
    """Return Python as ruff writes it."""
    ruff = [sys.executable, "-m", "ruff"]
    for command in (["check", "--select", "I,F401", "--fix", "--quiet"], ["format", "--quiet"]):
        done = subprocess.run(
            [*ruff, *command, "--stdin-filename", name, "-"],
            input=text, capture_output=True, text=True, cwd=ROOT,
        )  # fmt: skip
        if not done.stdout:
            raise SystemExit(f"ruff does not take {name}: {done.stderr}")
        text = done.stdout
    return text


def render(connection: psycopg.Connection[TupleRow]) -> dict[Path, str]:
    """Return the text of every generated file."""
    functions = describe(connection)
    shapes = name_shapes(functions)
    methods = methods_module(functions, shapes)
    client = (PACKAGE / "driver" / "client_async.py").read_text()
    source = client.split('"""', 2)
    twin = HEADER.format(without_async(source[1].split("\n")[0])).rstrip() + without_async(source[2])
    modules = {
        "rows": rows_module(functions, shapes),
        "statements": calls_module(functions, shapes),
        "methods_async": methods,
        "methods": without_async(methods),
        "client": twin,
    }
    files = {
        GENERATED / f"{name}.py": formatted(text, str(GENERATED / f"{name}.py"))
        for name, text in modules.items()
    }
    errors = ROOT / "docs" / "errors.md"
    files[errors] = TABLE.sub(lambda found: found[1] + error_table(functions), errors.read_text())
    page = ROOT / "docs" / "compaction.md"
    files[page] = DIGESTS.sub(lambda found: found[1] + digests(connection), page.read_text())
    return files | {ROOT / "docs" / "sql.md": reference(functions)}


def digests(connection: psycopg.Connection[TupleRow]) -> str:
    """Return the digests of real conversations, compacted in contexts that are gone afterwards."""
    lines = [
        line
        for file in sorted(CONVERSATIONS.glob("*.jsonl"))
        for line in file.read_text("utf-8").splitlines()
    ]
    named = {conversation["name"]: conversation["messages"] for conversation in map(json.loads, lines)}
    text = ""

    def one(query: str, *parameters: object) -> TupleRow:
        row = connection.execute(query.encode(), parameters).fetchone()
        assert row
        return row

    for name, what in DIGESTED.items():
        with connection.transaction(force_rollback=True):
            (context_id,) = one("select kata.create_context(policy => '{\"preserve_recent_count\": 4}')")
            (count,) = one("select count(*) from kata.append(%s, %s)", context_id, json.dumps(named[name]))
            version, covered, covers, source, result = one(
                "select summary_version, covered::text, message_count, source_tokens, result_tokens"
                " from kata.compact(%s, force => true)",
                context_id,
            )
            (content,) = one("select content from kata.get_message(%s, %s)", context_id, version)
        text += (
            f"\n**{what}** (`{name}`, {count} messages). {covers} of them leave the view, of versions "
            f"{covered}: {source:,} tokens become {result:,}.\n\n{shortened(content)}\n"
        )
    return text + "\n"


def shortened(content: str) -> str:
    """Return a digest as a block of the page, with long lines and the tails of long quotes cut."""
    kept: list[str] = []
    fence, quoted = "", 0
    for line in content.split("\n"):
        if line == fence or (not fence and re.fullmatch("`{3,}", line)):
            fence, quoted = "" if fence else line, 0
        elif fence:
            quoted += 1
        if quoted <= QUOTED:
            kept.append(line if len(line) <= WIDTH else line[: WIDTH - 1] + "…")
        elif quoted == QUOTED + 1:
            kept.append("…")
    return textwrap.indent("\n".join(line.rstrip() for line in kept), "    ")


def main() -> None:
    """Write every generated file, from a server of its own."""
    with tempfile.TemporaryDirectory(prefix="kata-generate-") as folder:
        Path(folder).chmod(0o755)  # the account of the server passes through
        server = Server(Path(folder) / "home")
        dsn = server.start()
        try:
            migrate.up(dsn)
            with psycopg.connect(dsn) as connection:
                for file, text in render(connection).items():
                    if not file.exists() or file.read_text() != text:
                        file.write_text(text)
                        print(f"wrote {file.relative_to(ROOT)}")
        finally:
            server.stop()


if __name__ == "__main__":
    main()
