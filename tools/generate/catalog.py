"""The functions of schema kata, as pg_proc and their COMMENTs describe them, and what neither can say."""

import ast
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from keyword import iskeyword
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import TupleRow

from generate.comments import Comment, CommentError, parse
from kata_context.database_errors import CATALOG
from kata_context.tokens import BatchCounter, MessageCounter

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = ROOT / "sql" / "functions"

# Families in the order of docs/sql.md; others follow by name.
FAMILIES = (
    "contexts", "log", "window", "requests", "forks", "history", "view", "compaction", "artifacts", "tokens",
    "erasure", "admin",
)  # fmt: skip
# Set-returning functions that return exactly one row, and those that return one or none.
ONE_ROW = {
    "begin_compaction", "build_embedding_index", "commit_compaction", "common_ancestor", "compact",
    "compaction_status", "get_context", "get_message", "get_or_create_context", "get_tools", "import_family",
    "purge_context", "replay", "request", "usage",
}  # fmt: skip
ONE_ROW_OR_NONE = {"claim_due_compaction", "key_result"}
# Functions that return a value which may be null.
MAYBE_NULL = {"environment", "find_context", "find_message"}
# Parameters without a default that may be null.
NULLABLE_PARAMETERS = {
    ("append_message", "content"), ("commit_compaction", "summary"), ("set_tools", "tools"),
}  # fmt: skip
# Columns that are never null, whichever function returns them, and the exceptions.
NEVER_NULL = {
    "act_digest", "acted_at", "acted_by", "acts", "body_digest", "budget", "bytes", "bytes_per_token",
    "cause_id", "change", "checkpoints", "claimed_by",
    "compaction_id", "context_id", "covered", "created", "created_at", "depth", "description", "digest",
    "dimensions", "display", "due", "embeddings", "erased_at", "erased_by", "facts", "failures", "family_id",
    "first_version", "frame", "group_version", "in_progress", "in_view", "index", "is_new", "is_same", "kept",
    "kind",
    "last_digest", "last_version",
    "lease_expires_at", "line", "missing",
    "margin", "mentions", "merged_summaries", "message_count", "needs_summary", "notes", "number",
    "open_calls", "ordinal",
    "over_budget", "pinned", "policy", "position", "problem", "purged_by", "raw_tokens", "reason", "ref",
    "relation", "removed", "requests", "result_tokens", "role", "running_tokens", "segment_id", "side",
    "source_tokens",
    "started_at", "statement", "status", "strategy", "summary_budget", "tenant", "token_count",
    "token_source", "tokenizer", "updated_at", "version", "view_tokens", "warning", "what",
}  # fmt: skip
BUT_NULL = {
    ("common_ancestor", "segment_id"), ("compactions", "result_tokens"), ("get_tools", "digest"),
    ("get_tools", "token_count"), ("history", "role"),
    ("history", "token_count"), ("verify", "version"),
}  # fmt: skip
# Columns that are null elsewhere, but not here.
NOT_NULL = {
    ("checkpoints", "name"), ("embedding_models", "name"), ("forks", "fork_version"),
    ("pending_embeddings", "content"), ("policy_presets", "name"), ("purges", "purged_at"),
    ("replay", "body"), ("request", "body"), ("request", "request_id"), ("request", "start_version"),
    ("requests", "at"), ("requests", "format"), ("requests", "request_id"), ("requests", "start_version"),
    ("tokenizers", "name"), ("usage", "tools_tokens"), ("verify", "detail"),
}  # fmt: skip
# Names of row classes that do not follow from the function.
ROW_NAMES = {
    "append": "AppendedRow",
    "begin_compaction": "CompactionLeaseRow",
    "commit_compaction": "CompactedRow",
    "get_context": "ContextRow",
    "get_message": "MessageRow",
    "get_or_create_context": "FoundOrCreatedRow",
    "request": "RecordedRequestRow",
    "request_rows": "ShownMessageRow",
}
# Functions that make a context. A database has a second method, of this name, that returns a handle; the
# method of a context returns a handle itself.
MAKES_CONTEXT = {"create_context": "create", "fork": "", "get_or_create_context": "get_or_create"}
# Functions with messages whose tokens the driver counts. The fields of a counter are parameters.
COUNTED: dict[str, type[Any]] = {"append": BatchCounter, "append_message": MessageCounter}
# Parameters of type uuid that are not the id of a context.
NOT_CONTEXTS = {"compaction_id"}
# Methods and attributes that the clients have besides.
RESERVED = {
    "as_tenant", "close", "context", "create", "get_or_create", "id", "open", "transaction", "using",
}  # fmt: skip

RESULT_TYPES = {
    "bigint": "int",
    "boolean": "bool",
    "bytea": "bytes",
    "bytea[]": "list[bytes | None]",
    "double precision": "float",
    "int8multirange": "Multirange[int]",
    "integer": "int",
    "interval": "timedelta",
    "json": "Json",
    "jsonb": "Json",
    "numeric": "Decimal",
    "real": "float",
    "text": "str",
    "timestamp with time zone": "datetime",
    "uuid": "UUID",
}
# The types that callers may pass, and the adapters in kata_context.driver.values that check them.
PARAMETER_TYPES = RESULT_TYPES | {
    "int8multirange": "Versions",
    "jsonb": "Mapping[str, Any]",
    "numeric": "Decimal | float",
    "uuid": "UUID | str",
    "text[]": "Iterable[str]",
}
ADAPTERS = {
    "bigint": "as_integer",
    "boolean": "as_boolean",
    "double precision": "as_number",
    "int8multirange": "as_versions",
    "integer": "as_integer",
    "interval": "as_interval",
    "jsonb": "as_object",
    "numeric": "as_number",
    "real": "as_number",
    "text": "as_text",
    "text[]": "as_texts",
    "timestamp with time zone": "as_moment",
    "uuid": "as_uuid",
}
# Parameters whose type and adapter follow from their meaning, and from their name.
MEANINGS = {"context": ("ContextId", "as_context"), "version": ("Version", "as_version")}
OBJECTS = ("Sequence[Mapping[str, Any]]", "as_objects")
NAMED_PARAMETERS = {
    # A selector would be resolved right before the check, which would then always hold.
    "expected_version": ("int", "as_integer"),
    # A record may be any JSON; None is refused, as null of SQL is.
    "data": ("Json", "as_json"),
    "format": ("Format", "as_text"),
    "heads": OBJECTS,
    # As they were exported: a number would change on the way through Python.
    "lines": ("Iterable[str]", "as_texts"),
    "messages": ("Sequence[Message]", "as_objects"),
    "options": ("Mapping[str, Any]", "as_options"),
    "parts": OBJECTS,
    "role": ("Role", "as_text"),
    "token_source": ("TokenSource", "as_text"),
    "tool_calls": OBJECTS,
    "tools": (OBJECTS[0], "as_tools"),
    "visibility": ("Visibility", "as_text"),
}
# Functions whose result depends on the value of a parameter: the parameter, and the result of each value.
OVERLOADS = {
    "prompt": (
        "format",
        {
            "openai": "list[OpenAIMessage]",
            "responses": "ResponsesPrompt",
            "anthropic": "AnthropicPrompt",
            "gemini": "GeminiPrompt",
        },
    )
}

DESCRIBE = """
select p.proname::text, p.provolatile in ('i', 's'), p.proretset,
  format_type(p.prorettype, null),
  obj_description(p.oid, 'pg_proc'),
  coalesce(p.proargnames, '{}'), p.proargmodes::text[],
  array(
    select format_type(t.type, null)
    from unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])) with ordinality t(type, ordinality)
    order by t.ordinality),
  array(
    select pg_get_function_arg_default(p.oid, n)
    from generate_series(1, coalesce(cardinality(p.proallargtypes), p.pronargs)) n
    where coalesce(p.proargmodes[n] in ('i', 'b', 'v'), true)
    order by n)
from pg_proc p
where p.pronamespace = 'kata'::regnamespace and p.prokind = 'f'
order by p.proname
"""


@dataclass(frozen=True)
class Parameter:
    """A parameter of a function.

    Parameters
    ----------
    default : its SQL expression, None if there is none
    nullable : whether null may be passed although there is no default
    literal : the only value that it takes in an overload, None outside of one
    """

    name: str
    type: str
    default: str | None
    nullable: bool
    literal: str | None = None

    @property
    def identifier(self) -> str:
        """Its name in Python."""
        return f"{self.name}_" if iskeyword(self.name) else self.name

    @property
    def python_default(self) -> str | None:
        """Its default as a Python expression; "None" for one in SQL, which the statement evaluates."""
        if self.default is None or re.match(r"null\b", self.default, re.IGNORECASE):
            return None if self.default is None else "None"
        literal = re.sub(r"::[\w ]+$", "", self.default)
        if self.type in ("bigint", "integer", "numeric", "double precision", "real", "text"):
            return repr(ast.literal_eval(literal)).replace("'", '"')
        return {"true": "True", "false": "False"}.get(literal, "None")

    @property
    def python_type(self) -> str:
        """The Python type that callers pass."""
        if self.literal:
            return f'Literal["{self.literal}"]'
        if self.named:
            given, _ = self.named
        else:
            given = PARAMETER_TYPES.get(self.type) or f"Numbers[{RESULT_TYPES[self.type.removesuffix('[]')]}]"
        return f"{given} | None" if self.nullable or self.python_default == "None" else given

    @property
    def signature(self) -> str:
        """The parameter in a signature."""
        default = f" = {self.python_default}" if self.has_default else ""
        return f"{self.identifier}: {self.python_type}{default}"

    @property
    def has_default(self) -> bool:
        """Whether a call may leave it out, in an overload only where the default is the literal."""
        return self.default is not None and self.literal in (None, str(self.python_default).strip('"'))

    @property
    def named(self) -> tuple[str, str] | None:
        """Its type and adapter, if they do not follow from its SQL type."""
        return NAMED_PARAMETERS.get(self.name) or MEANINGS.get(self.typed)

    @property
    def adapter(self) -> str:
        """The function that checks what the caller passes."""
        if self.named:
            return self.named[1]
        return ADAPTERS.get(self.type) or {"[]": "as_numbers"}[self.type[-2:]]

    @property
    def sql(self) -> str:
        """The parameter in the statement."""
        value = f"%s::{self.type}"
        if self.name == "lines":
            value = "('[' || array_to_string(%s::text[], ',') || ']')::jsonb"
        if self.default is not None and self.python_default == "None" and not self.default.startswith("NULL"):
            value = f"coalesce({value}, {self.default})"
        return f"{quoted(self.name)} => {value}"

    @property
    def typed(self) -> str:
        """How `kata call` reads it: its type, or "context" or "version"."""
        if self.type == "uuid" and self.name not in NOT_CONTEXTS:
            return "context"
        if self.name == "lines":
            return "text[]"
        is_version = self.type == "bigint" and re.fullmatch(r"at|(\w+_)?version", self.name)
        return "version" if is_version else self.type

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
    comment : its COMMENT
    columns : names and types of the rows that it returns; empty if it returns a value or nothing
    """

    name: str
    family: str
    reads: bool
    returns_set: bool
    returns: str
    comment: Comment
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
        """How many rows or values it returns: nothing, one, one or none, rows."""
        if self.returns == "void":
            return "nothing"
        if self.name in ONE_ROW_OR_NONE or self.name in MAYBE_NULL:
            return "one or none"
        return "rows" if self.returns_set and self.name not in ONE_ROW else "one"

    def item(self, shapes: dict[Any, str]) -> str:
        """The Python type of a row or value."""
        if self.returns == "void":
            return "None"
        if self.name in OVERLOADS:
            return " | ".join(OVERLOADS[self.name][1].values())
        return shapes[self.fields] if self.fields else result_type(self.returns)

    def result(self, shapes: dict[Any, str]) -> str:
        """The Python type that its method returns."""
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
    def counter(self) -> str | None:
        """The counter of its messages' tokens, an expression."""
        if self.name not in COUNTED:
            return None
        counter = COUNTED[self.name]
        places = {parameter.name: place for place, parameter in enumerate(self.parameters)}
        taken = ", ".join(f"{field.name}={places[field.name]}" for field in fields(counter))
        return f"tokens.{counter.__name__}({taken})"

    @property
    def maker(self) -> str | None:
        """The method of a database that returns a handle of the context made; None for other functions."""
        return MAKES_CONTEXT.get(self.name)

    @property
    def overloads(self) -> list[tuple[tuple[Parameter, ...], str]]:
        """Parameters and result of each overload; none where the result is always of the same type."""
        decider, results = OVERLOADS.get(self.name, ("", {}))
        overloads = []
        for value, result in results.items():
            chosen = [replace(p, literal=value) if p.name == decider else p for p in self.parameters]
            place = next((n for n, p in enumerate(chosen) if p.literal and not p.has_default), 0)
            # Parameters before one without a default have none, either.
            required = [replace(p, default=None, nullable=p.default is not None) for p in chosen[:place]]
            overloads.append(((*required, *chosen[place:]), result))
        return [*overloads, (self.parameters, " | ".join(results.values()))] if overloads else []


def quoted(name: str) -> str:
    """Quote names that are keywords of SQL."""
    return f'"{name}"' if name in ("position", "window") else name


def short(type_: str) -> str:
    """The short name of a type."""
    return type_.replace("timestamp with time zone", "timestamptz")


def result_type(type_: str) -> str:
    """The Python type that psycopg reads a type as."""
    if type_.endswith("[]"):
        return f"list[{RESULT_TYPES[type_.removesuffix('[]')]}]"
    return RESULT_TYPES[type_]


def public_files() -> list[Path]:
    """Return the files of the public functions."""
    return [file for file in FUNCTIONS.glob("*/*.sql") if file.parent.name != "internal"]


def describe(connection: psycopg.Connection[TupleRow]) -> list[Function]:
    """Return the functions of schema kata, by family and name."""
    files = {file.stem: file for file in public_files()}
    found = []
    for row in connection.execute(DESCRIBE):
        name, reads, returns_set, returns, comment, names, modes, types, defaults = row
        arguments = list(zip(names, modes or ["i"] * len(names), types, strict=True))
        inputs = [(argument, type_) for argument, mode, type_ in arguments if mode in "ib"]
        found.append(
            Function(
                name=name,
                family=files[name].parent.name,
                reads=reads,
                returns_set=returns_set,
                returns=returns,
                comment=read_comment(files[name], name, comment or "", [argument for argument, _ in inputs]),
                parameters=tuple(
                    Parameter(argument, type_, default, (name, argument) in NULLABLE_PARAMETERS)
                    for (argument, type_), default in zip(inputs, defaults, strict=True)
                ),
                columns=tuple((column, type_) for column, mode, type_ in arguments if mode in "bot"),
            )
        )
    for function in found:
        check(function)
    if unused := unused_names(found):
        raise SystemExit(f"{Path(__file__).name} names what does not exist: {', '.join(unused)}")
    order = {family: place for place, family in enumerate(FAMILIES)}
    return sorted(found, key=lambda f: (order.get(f.family, len(order) - 1.5), f.family, f.name))


def read_comment(file: Path, name: str, text: str, parameters: list[str]) -> Comment:
    """Return the COMMENT of a function; one that breaks the grammar is refused with its place."""
    try:
        return parse(text, parameters, CATALOG)
    except CommentError as error:
        opening = file.read_text().split("\ncomment on function kata.")[0].count("\n") + 2
        place = f"{file.relative_to(ROOT)}:{opening + error.line}"
        raise SystemExit(f"{place}: kata.{name}: {error.problem}") from None


def check(function: Function) -> None:
    """Refuse what would make a misleading method."""
    tables = Path(__file__).name
    if function.name in RESERVED or iskeyword(function.name):
        raise SystemExit(f"kata.{function.name} cannot become a method: the clients have one of that name")
    if function.columns and not function.returns_set and function.name not in ONE_ROW:
        raise SystemExit(f"kata.{function.name} returns one row: add it to ONE_ROW of {tables}")
    says_one = any(
        re.match(r"Returns one (?!row per\b)", paragraph) for paragraph in function.comment.paragraphs
    )
    if function.columns and says_one != (function.name in ONE_ROW | ONE_ROW_OR_NONE):
        raise SystemExit(f"kata.{function.name}: its COMMENT and ONE_ROW of {tables} disagree")


def unused_names(functions: Iterable[Function]) -> list[str]:
    """Return the names in the tables above that no function has any more."""
    functions = list(functions)
    names = {function.name for function in functions}
    parameters = {
        (function.name, parameter.name) for function in functions for parameter in function.parameters
    }
    columns = {(function.name, column) for function in functions for column, _ in function.columns}
    unused = {
        *(NOT_CONTEXTS - {parameter for _, parameter in parameters}),
        *(ONE_ROW | ONE_ROW_OR_NONE | MAYBE_NULL | {*ROW_NAMES, *MAKES_CONTEXT, *COUNTED, *OVERLOADS})
        - names,
        *(NEVER_NULL - {column for _, column in columns}),
        *(NAMED_PARAMETERS.keys() - {parameter for _, parameter in parameters}),
        *map(".".join, NULLABLE_PARAMETERS - parameters),
        *map(".".join, (BUT_NULL | NOT_NULL) - columns),
        *(set(FAMILIES) - {function.family for function in functions}),
    }
    return sorted(unused)


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
            f"two row classes are called {twice[0]}: name one in ROW_NAMES of {Path(__file__).name}"
        )
    return shapes
