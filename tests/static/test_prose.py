"""The check of prose finds what CONTRIBUTING.md forbids; help lines and summaries stand alone."""

import re

import pytest
from click import Command, Context, Group

import prose
from generate import comments
from kata_context.cli.main import cli
from support.sql_files import PUBLIC_FILES


@pytest.mark.parametrize(
    "text",
    [
        "It is kept for ever.",
        "All but for one.",
        "-- Nobody waits\n-- for a lock.",
        "def test_nobody_waits() -> None:",
        "Whoever holds the lock.",
        "# He shows that he knows it.",
        "The flag stands for a mode.",
        "The page tells how.",
        "The worker is told so.",
        "A string that is no number.",
        "Returns a row a message.",
        "40,000 messages a second.",
        "The result is what it was, as what was.",
        "The package brings the SQL along.",
        "The driver finds out by itself.",
        "-- The door: every function comes\n-- through here.",
        "What is due is claimed.",
        "Who asks first gets it.",
        "x = 1\n# What remains is appended.\ny = 2",
        "A summariser is any program.",
        "is_summarised boolean",
        "The label: labelled by an administrator.",
        "The licence of the behaviour.",
        "The phrase is broken but\n    for a line.",
    ],
)
def test_a_sentence_that_breaks_a_rule_is_found(text: str) -> None:
    assert list(prose.findings(text))


@pytest.mark.parametrize(
    "text",
    [
        "Which messages should the model see?",
        "What should the model see, and why?",
        "There is no other server.",
        "The lock is no longer held.",
        "A number that tells two forks apart.",
        "One row per message, 40,000 messages per second.",
        "The summarizer is a program; labels are canceled.",
        "A promise is precise, exercised and otherwise revised.",
    ],
)
def test_plain_english_passes(text: str) -> None:
    assert not list(prose.findings(text))


def test_a_heading_need_not_be_a_sentence() -> None:
    assert not list(prose.findings("## What it guarantees\n\nMuch.", is_markdown=True))


def test_a_finding_names_its_line() -> None:
    assert [finding.line for finding in prose.findings("Fine.\n\nFine.\nIt stays for\never.")] == [4]


def help_lines(command: Command, path: str) -> dict[str, str]:
    """Return the short help of a command and of those below it."""
    found = {path: command.get_short_help_str(200)}
    if isinstance(command, Group):
        context = Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below
            found |= help_lines(below, f"{path} {name}")
    return found


def test_a_line_of_help_stands_alone() -> None:
    """A pronoun may refer to a noun of the same line only, so it never comes first or without one."""
    lines = help_lines(cli, "kata")
    assert len(lines) > 40
    assert {
        path: line for path, line in lines.items() if re.search(r"^\w+ (it|them|this|that|these)\b", line)
    } == {}


def test_the_summary_of_a_function_stands_alone() -> None:
    offenders = {}
    for file in PUBLIC_FILES:
        text = file.read_text("utf-8")
        comment = re.search(r"^comment on function kata\.[^\n]+? is\s+E?'(.*?)';$", text, re.M | re.S)
        assert comment, file
        paragraph = comment[1].replace("''", "'").split("\n\n")[0]
        summary = comments.Comment([" ".join(paragraph.split())]).summary
        if len(summary) > 100 or re.match(r"(What|Who|How|Whether|It|This)\b", summary):
            offenders[file.stem] = summary
    assert offenders == {}
