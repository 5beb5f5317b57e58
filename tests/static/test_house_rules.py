"""The rules of the house for SQL files. Each test lists the offenders of one rule."""

import ast as python
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from pglast import ast

from support.sql_files import (
    ALL_FILES,
    FIXTURES,
    FUNCTION_FILES,
    INTERNAL_FILES,
    MIGRATIONS,
    PGTAP_FILES,
    PUBLIC_FILES,
    ROOT,
    SQL,
    Function,
    all_functions,
    bodies,
    comments_on_functions,
    functions,
    literals,
    place,
    raised,
    statements,
    tables,
    tokens,
    words,
)

# The SQLSTATEs that the driver has exception classes for.
ERRORS = set(re.findall(r'code="(KC\d{3})"', (ROOT / "pydriver/kata_context/database_errors.py").read_text()))
RAISE_OPTIONS = ("errcode", "message", "detail", "hint")
INSTALLED = [*MIGRATIONS, *FUNCTION_FILES]
PGTAP_WIDTH = 140


def errors(files: list[Path]) -> list[tuple[Path, dict[str, list[str]]]]:
    """Return what these files raise, with the file."""
    found = [(file, options) for file in files for body in bodies(file) for options in raised(body)]
    assert len(found) > 50, "the rules read nothing"
    return found


def test_every_file_is_sql() -> None:
    assert [place(file) for file in ALL_FILES if not statements(file)] == []


def test_every_file_opens_with_a_comment_and_is_tidy() -> None:
    def is_tidy(text: str) -> bool:
        return (
            text.startswith("-- ")
            and text.endswith("\n")
            and not text.endswith("\n\n")
            and not any(line != line.rstrip() or "\t" in line for line in text.splitlines())
        )

    assert [place(file) for file in ALL_FILES if not is_tidy(file.read_text())] == []


def test_everything_that_is_not_quoted_is_in_lower_case() -> None:
    offenders = {
        f"{place(file)}: {word}"
        for file in ALL_FILES
        for text in (file.read_text(), *bodies(file))
        for word, token in words(text)
        if (token.kind != "NO_KEYWORD" or token.name == "IDENT") and word[0] != '"' and word != word.lower()
    }
    assert sorted(offenders) == []


def test_every_error_has_code_message_detail_and_hint() -> None:
    offenders = [
        f"{place(file)}: {options}" for file, options in errors(INSTALLED) if tuple(options) != RAISE_OPTIONS
    ]
    assert offenders == []


def test_every_error_is_one_of_the_catalog() -> None:
    offenders = [
        f"{place(file)}: {options}"
        for file, options in errors(INSTALLED)
        if len(options["errcode"]) != 1 or options["errcode"][0] not in ERRORS
    ]
    offenders += [
        f"{place(file)}: {code}"
        for file in INSTALLED
        for code in re.findall(r"\bKC\d+", file.read_text())
        if code not in ERRORS and code != "KC000"  # the class
    ]
    assert offenders == []


def test_every_error_says_in_lower_case_what_is_wrong_and_in_sentences_why() -> None:
    def is_well_put(options: dict[str, list[str]]) -> bool:
        message = options["message"]
        return (
            not message[0][0].isupper()
            and not any(text.endswith(".") for text in message)
            # A value without a literal comes from elsewhere.
            and all(
                not options[option] or any(text.endswith(".") for text in options[option])
                for option in ("detail", "hint")
            )
        )

    offenders = [
        f"{place(file)}: {options}" for file, options in errors(INSTALLED) if not is_well_put(options)
    ]
    assert offenders == []


def test_a_function_raises_nothing_but_exceptions() -> None:
    offenders = [
        f"{place(file)}: raise {after}"
        for file in FUNCTION_FILES
        for body in bodies(file)
        for word, after in pairwise(tokens(body))
        if word == "raise" and after not in ("exception", ";")
    ]
    assert offenders == []


# The names in these statements are not known before: an extension that may be missing, in a schema of the
# user's choice, and an index per model. An archive has every table, by a list.
BUILDS_STATEMENTS = {
    "archive_counts",
    "build_embedding_index",
    "compare_lines",
    "drop_embedding_index",
    "embedding_index_recall",
    "export_page",
    "near_by_index",
    "prepare_embedding_index",
    "similarities",
    "store_lines",
}


def test_a_function_builds_no_statements_and_catches_what_it_names() -> None:
    builders = {function.name for function in all_functions() if "execute" in tokens(function.body)}
    assert builders == BUILDS_STATEMENTS
    assert [str(f) for f in all_functions() if ("when", "others") in pairwise(tokens(f.body))] == []


def test_a_function_names_the_columns_that_it_reads() -> None:
    offenders = []
    for function in all_functions():
        offenders += [
            f"{function}: {before} *"
            for before, word in pairwise(tokens(function.body))
            if word == "*" and before in ("select", "distinct", "all", "returning", ",")
        ]
        for alias in re.findall(r"\b(\w+)\.\*", function.body):
            source = rf"\b(?:from|join)\s+kata_data\.(\w+)\s+(?:as\s+)?{alias}\b"
            offenders += [
                f"{function}: {alias}.*"
                for table in re.findall(source, function.body)
                if table in tables() and not is_row_of(function, table)
            ]
    assert offenders == []


def is_row_of(function: Function, table: str) -> bool:
    """Return whether a function keeps or returns whole rows of a table."""
    own_type = f"kata_data.{table}"
    return bool(re.search(rf"\bv_\w+ {own_type};", function.body)) or function.returns == own_type


def test_the_story_of_a_folder_names_each_of_its_files() -> None:
    """A README.md per folder of helpers: tables, locks, where one enters, which file does what."""
    folders = sorted({file.parent for file in INTERNAL_FILES if "internal" in file.parts})
    stories = {folder: (folder / "README.md").read_text("utf-8") for folder in folders}
    offenders = [
        place(file)
        for file in INTERNAL_FILES
        if file.parent in stories and f"`{file.name}`" not in stories[file.parent]
    ]
    assert offenders == []


def test_a_public_function_has_a_file_of_its_name() -> None:
    offenders = [
        place(file)
        for file in PUBLIC_FILES
        if [function.name for function in functions(file) if function.schema == "kata"] != [file.stem]
        or {function.schema for function in functions(file)} - {"kata", "kata_data"}
    ]
    assert offenders == []


def test_a_public_function_runs_as_its_owner_with_temporary_objects_last_in_its_path() -> None:
    # With an empty path the client's temporary types would come first.
    offenders = [
        str(function)
        for function in all_functions(PUBLIC_FILES)
        if function.schema == "kata"
        and (
            function.options.get("security") != "True"
            or function.settings.get("search_path") != "pg_catalog, pg_temp"
        )
    ]
    assert offenders == []


def test_an_internal_function_is_internal() -> None:
    offenders = [
        str(function)
        for function in all_functions(INTERNAL_FILES)
        if function.schema != "kata_data" or "security" in function.options
    ]
    assert offenders == []


def test_a_function_can_be_applied_again_and_says_what_it_may_do() -> None:
    offenders = [
        str(function)
        for function in all_functions()
        if not function.replaces
        or function.language not in ("sql", "plpgsql")
        or function.options.get("volatility") not in ("immutable", "stable", "volatile")
    ]
    assert offenders == []


def test_a_function_has_a_comment() -> None:
    offenders = [
        str(function)
        for function in all_functions([*INSTALLED, FIXTURES])
        if f"{function.schema}.{function.name}" not in comments_on_functions(function.file)
    ]
    assert offenders == []


def test_a_name_is_defined_once() -> None:
    defined = Counter((function.schema, function.name) for function in all_functions(INSTALLED))
    assert [name for name, times in defined.items() if times > 1] == []


def test_every_public_function_is_granted_to_a_role() -> None:
    granted = {
        ".".join(part.sval for part in function.objname)
        for statement in statements(SQL / "functions" / "privileges.sql", ast.GrantStmt)
        for function in statement.objects
        if function.objname[0].sval == "kata"
    }
    assert granted == {f"kata.{file.stem}" for file in PUBLIC_FILES}


def test_migrations_are_numbered_without_a_gap_and_can_be_undone() -> None:
    files = [file.name for file in MIGRATIONS]
    ups = [name for name in files if name.endswith(".up.sql")]
    assert [name[:4] for name in ups] == [f"{number:04}" for number in range(1, len(ups) + 1)]
    assert sorted([*ups, *(name.replace(".up.", ".down.") for name in ups)]) == files


def test_every_constraint_has_a_name() -> None:
    unnamed = ("CONSTR_NOTNULL", "CONSTR_DEFAULT", "CONSTR_IDENTITY")
    offenders = [
        f"{place(file)}: {statement.relation.relname}, {part.contype.name}"
        for file in MIGRATIONS
        for statement in statements(file, ast.CreateStmt)
        for element in statement.tableElts
        for part in getattr(element, "constraints", (element,)) or ()
        if part.contype.name not in unnamed and not part.conname
    ]
    assert offenders == []


def test_a_pgtap_file_proves_the_sentence_that_opens_it() -> None:
    def is_in_form(text: str) -> bool:
        first, blank, begin, plan = text.splitlines()[:4]
        return (
            bool(re.fullmatch(r"-- [A-Z].*[^.]\.", first))
            and (blank, begin) == ("", "begin;")
            and bool(re.fullmatch(r"select plan\([1-9]\d*\);", plan))
        )

    files = [file for file in PGTAP_FILES if file != FIXTURES]
    assert [file.name for file in files if not is_in_form(file.read_text())] == []


def test_a_line_of_pgtap_has_at_most_140_characters() -> None:
    offenders = [
        f"{file.name}:{number}"
        for file in PGTAP_FILES
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if len(line) > PGTAP_WIDTH
    ]
    assert offenders == []


def test_a_literal_with_a_backslash_says_how_it_is_read() -> None:
    """A plain one is read differently under standard_conforming_strings = off, an E'…' never is."""
    offenders = [
        f"{place(file)}:{line}: {literal}"
        for file in INSTALLED
        for line, literal in literals(file.read_text())
        if "\\" in literal and literal[0] not in "eE"
    ]
    assert offenders == []


def test_sql_in_the_package_has_no_plain_literal_with_a_backslash() -> None:
    texts = {
        f"{file.name}:{node.lineno}": node.value
        for file in sorted((ROOT / "pydriver").rglob("*.py"))
        for node in python.walk(python.parse(file.read_text("utf-8")))
        if isinstance(node, python.Constant) and isinstance(node.value, (str, bytes))
    }
    sql = {
        place: text for place, text in texts.items() if re.search(r"\b(select|insert|update|set) ", str(text))
    }
    assert len(sql) > 50, "the rule reads nothing"
    offenders = [
        f"{place}: {literal}"
        for place, text in sql.items()
        for literal in re.findall(
            r"(?<![eE])'[^']*\\[^']*'", text if isinstance(text, str) else text.decode()
        )
    ]
    assert offenders == []


# Ranges: lower and upper return their bounds.
RANGES = {"buckets", "covered", "covers", "piece", "range", "v_whole", "versions", "visible"}


def test_a_function_names_the_rules_of_characters_that_it_compares_by() -> None:
    """What is a letter, and which is its lower case, depends on the locale of the database."""
    offenders = [
        f"{function}: {' '.join(found)}" for function in all_functions() for found in by_locale(function.body)
    ]
    assert offenders == []


def by_locale(body: str) -> Iterator[list[str]]:
    """Yield the operands that lower, upper or a regular expression takes by the database's locale."""
    found = tokens(body)
    for index, word in enumerate(found):
        # Behind an operator, ~ turns bits.
        if word in ("~", "!~", "~*", "!~*") and re.search(r"[\w')\]]$", found[index - 1]):
            operand = until_end(found[index + 1 :])
            is_plain = "*" not in word and operand[0].startswith(("'", "E'")) and not has_classes(operand[0])
            before = found[max(index - 2, 0) : index]
            if not is_plain and "collate" not in (*operand, *before):
                yield [word, *operand]
        elif word.startswith("regexp_") or word in ("lower", "upper"):
            arguments = until_end(found[index + 2 :])
            if word.startswith("regexp_"):
                literal = [argument for argument in arguments if argument.startswith(("'", "E'"))]
                is_plain = bool(literal) and not any(map(has_classes, literal)) and "'gi'" not in literal
                is_plain = is_plain and not any(argument.endswith("_pattern") for argument in arguments)
            else:
                is_plain = any(argument in RANGES for argument in arguments)
            if not is_plain and "collate" not in arguments:
                yield [word, *arguments]


# Columns of text; functions in which no order of theirs can be seen.
TEXTS = {"id", "key", "kind", "name", "ref"}
ONE_ROW = {"find_checkpoint", "live_context"}


def test_a_function_orders_texts_by_their_bytes() -> None:
    offenders = [
        f"{function}: order by {' '.join(found)}"
        for function in all_functions()
        if function.name not in ONE_ROW
        for found in text_orders(function.body)
    ]
    assert offenders == []


def text_orders(body: str) -> Iterator[list[str]]:
    """Yield the lists of ORDER BY that take a text by the order of the database's locale."""
    found = tokens(body)
    for index, (word, following) in enumerate(pairwise(found)):
        if (word, following) == ("order", "by"):
            keys = until_end(found[index + 2 :])
            columns = zip(keys, keys[1:], [*keys[2:], ""], strict=False)
            if any(dot == "." and key in TEXTS and after != "collate" for dot, key, after in columns):
                yield keys


def has_classes(literal: str) -> bool:
    """Return whether a pattern has classes of characters or limits of words."""
    return bool(re.search(r"\\\\[a-mo-qsu-zA-Z]|\[:", literal))


def until_end(found: list[str]) -> list[str]:
    """Return the tokens of an operand, or of arguments: up to what ends them."""
    depth = 0
    for index, word in enumerate(found):
        depth += word == "("
        depth -= word == ")"
        if depth < 0 or (not depth and word in (";", "and", "or", "then")):
            return found[:index]
    return found
