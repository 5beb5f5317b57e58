"""PL/pgSQL is held to rules by its syntax tree."""

import re
from collections.abc import Iterator
from typing import Any

from pglast import ast, parse_sql

from support.sql_files import (
    Function,
    acting,
    all_functions,
    is_a,
    names,
    nodes,
    plpgsql,
    reads,
    reads_a_table,
    variables,
)

FUNCTIONS = list(all_functions())
PLPGSQL = [function for function in FUNCTIONS if function.language == "plpgsql"]
LINES = 60
AGGREGATES = {"array_agg", "bool_and", "bool_or", "count", "jsonb_agg", "jsonb_object_agg"} | {
    "max",
    "min",
    "range_agg",
    "string_agg",
    "sum",
}


def test_every_variable_is_read() -> None:
    offenders = [
        f"{function}, {variable.name}"
        for function in PLPGSQL
        for variable in variables(function)
        if variable.name not in reads(function)
    ]
    assert offenders == []


def test_notifications_have_no_payload() -> None:
    """Any login may listen: a payload would show it ids of other tenants."""
    calls = [
        (str(function), call)
        for function in FUNCTIONS
        for call in re.findall(r"pg_notify\s*\(.*|\bnotify\s+\w+\s*,.*", function.body)
    ]
    assert len(calls) >= 3
    assert [one for one in calls if not one[1].startswith("pg_notify('kata', '')")] == []


def test_every_parameter_is_read() -> None:
    offenders = [
        f"{function}, {name}"
        for function in FUNCTIONS
        if function.returns != "trigger"
        for mode, name in function.parameters
        if mode in ("in", "inout", "default", "variadic")
        and name not in (reads(function) if function.language == "plpgsql" else names(function.body))
    ]
    assert offenders == []


def test_nothing_that_locks_or_raises_or_reads_a_table_is_in_a_declaration() -> None:
    offenders = [
        f"{function}, {variable.name}"
        for function in PLPGSQL
        for variable in variables(function)
        if reads_a_table(variable.initial)
        or set(re.findall(r"\bkata(?:_data)?\.(\w+)\s*\(", variable.initial)) & acting()
    ]
    assert offenders == []


# Why each of these is longer; the list only shrinks.
LONG: dict[str, str] = {
    "append_message": "its plain messages in a helper: 3.5 % more instructions for text",
    "estimate_tokens": "its sums in a second function, of sixteen bit strings: 1 to 4 % more time",
    "parse_artifacts": "one query: two that share its CTEs parse every document twice, 9 % more time each",
    "prompt_messages": "one query: its three parts read the window and the calls that its first CTEs hold",
}


def test_a_function_has_at_most_60_lines_or_a_reason() -> None:
    long = {function.name for function in FUNCTIONS if len(function.body.strip("\n").splitlines()) > LINES}
    assert sorted(long - LONG.keys()) == []
    assert sorted(LONG.keys() - long) == [], "these need no reason"


# SELECT INTO leaves null where there is no row. Why that is right, or cannot be, in these functions:
ONE_ROW_OR_NULL: dict[str, str] = {
    "advance_head": "the update is of the row that the function has locked",
    "copies_of": "a message that is not a copy has no origin: it is one itself",
    "due_state": "a context that was never compacted has no guard: no failures, no earlier attempt",
    "entry_time": "the caller names an entry that is there, and it is not a message",
    "erase_message": "a version that is not there has no segment, and the next statement refuses it",
    "find_checkpoint": "no checkpoint of that name: the caller asks whether the result is null",
    "first_request": "a history without a request has none",
    "newest_message": "a view without a message has no newest one",
    "share_asking": "open_context comes next, and refuses a context that is not there",
    "share_context": "check_access refuses a head that is null",
    "shared_history": "contexts of different families share nothing: the result is null",
}


def test_a_select_into_is_strict_or_looks_whether_it_found_a_row() -> None:
    offenders = {
        function.name: f"{function}, line {function.line + line}: {query}"
        for function in PLPGSQL
        for line, query in unchecked(function)
    }
    assert [offenders[name] for name in sorted(offenders.keys() - ONE_ROW_OR_NULL.keys())] == []
    assert sorted(ONE_ROW_OR_NULL.keys() - offenders.keys()) == [], "these need no reason"


def unchecked(function: Function) -> Iterator[tuple[int, str]]:
    """Yield line and query of every INTO that may find no row, without a look at what it found."""
    for statement, following in with_following(plpgsql(function)["action"], {}):
        into = statement.get("PLpgSQL_stmt_execsql", {})
        if into.get("into") and not into.get("strict"):
            query = into["sqlstmt"]["PLpgSQL_expr"]["query"]
            if not (returns_a_row(query) or examines(following, targets(into["target"]))):
                yield into["lineno"], " ".join(query.split())


def with_following(tree: Any, after: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield every statement under a tree with the one that comes next, be it behind the block."""
    if isinstance(tree, dict):
        for value in tree.values():
            yield from with_following(value, after)
    elif isinstance(tree, list):
        for position, statement in enumerate(tree):
            is_block = any(kind.startswith("PLpgSQL_stmt_") for kind in statement)
            following = tree[position + 1] if is_block and position + 1 < len(tree) else after
            if is_block:
                yield statement, following
            yield from with_following(statement, following)


def returns_a_row(query: str) -> bool:
    """Return whether a query returns exactly one row, by its form."""
    (raw,) = parse_sql(query)
    statement: Any = raw.stmt
    if is_a(statement, ast.InsertStmt):
        return bool(statement.selectStmt.valuesLists) and not statement.onConflictClause
    if not is_a(statement, ast.SelectStmt):
        return False
    if not statement.fromClause:
        return not statement.whereClause
    return (
        not statement.groupClause
        and not statement.havingClause
        and any(map(aggregates, statement.targetList))
    )


def aggregates(node: Any) -> bool:
    """Return whether an expression has an aggregate of its own query."""
    if is_a(node, ast.SubLink):
        return False
    if is_a(node, ast.FuncCall) and not node.over and str(node.funcname[-1].sval) in AGGREGATES:
        return True
    if is_a(node, ast.Node):
        return any(aggregates(getattr(node, name)) for name in node)
    return isinstance(node, tuple) and any(map(aggregates, node))


def targets(target: dict[str, Any]) -> set[str]:
    """Return the variables that an INTO fills."""
    ((_, node),) = target.items()
    return {field["name"] for field in node["fields"]} if "fields" in node else {node["refname"]}


def examines(statement: dict[str, Any], filled: set[str]) -> bool:
    """Return whether a statement asks for FOUND, or whether a variable is null."""
    queries = [node["query"] for kind, node in nodes(statement) if kind == "PLpgSQL_expr"]
    first = queries[0] if queries else ""
    return "found" in names(first) or any(
        re.search(rf"\b{name}(\.\w+)?\)? is (not )?(null|distinct)", first) for name in filled
    )
