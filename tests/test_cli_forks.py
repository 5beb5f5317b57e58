"""The command line on forks and time travel: what it prints is what the functions say."""

import re
from uuid import UUID

import psycopg
import pytest

from kata_context import Kata
from kata_context.cli.main import cli
from support.commands import Query, Run, kata
from test_cli import complaint

pytestmark = pytest.mark.slow


@pytest.fixture
def trunk(database: str) -> UUID:
    """A context named "trunk" of six messages, a checkpoint "fork here" at the third."""
    with Kata(database) as opened:
        context = opened.create("trunk")
        for number in range(1, 7):
            context.append_message("user" if number % 2 else "assistant", f"message {number}")
        context.checkpoint("fork here", at=3)
        return context.id


# Forks


def test_fork_prints_the_id_and_says_where_it_leaves(run: Run, read: Query, trunk: UUID) -> None:
    forked = run("fork", "trunk", "branch", "--at", "4")
    assert re.fullmatch(r"[0-9a-f-]{36}\n", forked.stdout)
    assert "forked at version 4" in forked.stderr
    made = read("show", "branch", "-n", "0")["context"]
    assert (made["context_id"], made["fork_version"]) == (forked.stdout.strip(), 4)
    assert made["parent_id"] == str(trunk)


@pytest.mark.parametrize(
    ("selector", "version"), [("0", 0), ("head", 6), ("head~2", 4), ("fork here", 3), ("2100-01-01", 6)]
)
def test_a_fork_leaves_at_whatever_names_a_version(
    read: Query, trunk: UUID, selector: str, version: int
) -> None:
    assert read("fork", "trunk", "--at", selector)["fork_version"] == version


def test_a_fork_takes_all_that_the_function_takes(read: Query, trunk: UUID) -> None:
    options = ("--policy", '{"budget": 900}', "--metadata", '{"try": 2}', "--key", "once")
    made = read("fork", "trunk", "b", *options)
    assert made["metadata"] == {"try": 2}
    assert read("policy", "show", "b")["policy"]["budget"] == 900
    assert read("fork", "trunk", "b", *options)["context_id"] == made["context_id"]


def test_an_unknown_version_is_one_line_and_a_hint(run: Run, trunk: UUID) -> None:
    for arguments in (
        ("fork", "trunk", "--at", "7"),
        ("at", "trunk", "head~7"),
        ("usage", "trunk", "--at", "7"),
    ):
        message, _ = complaint(run(*arguments, code=1))
        assert re.match(r'version "(7|head~7)" not found', message)
    message, hint = complaint(run("at", "trunk", "nowhere", code=1))
    assert message.startswith('checkpoint "nowhere" is unknown')
    assert "kata.checkpoints" in hint


def test_forks_lists_the_direct_ones(run: Run, read: Query, trunk: UUID) -> None:
    run("fork", "trunk", "a", "--at", "2")
    run("fork", "a", "a1")
    gone = run("fork", "trunk", "b").stdout.strip()
    run("delete", "b")
    rows = read("forks", "trunk")
    assert {(row["name"], row["fork_version"], bool(row["deleted_at"])) for row in rows} == {
        ("a", 2, False), ("b", 6, True),
    }  # fmt: skip
    listed = run("forks", "trunk").stdout.splitlines()
    assert re.fullmatch(r"name +forked at +version +created +state +context_id", listed[0])
    assert any(line.endswith(gone) and "deleted" in line for line in listed)
    assert "the context has no forks" in run("forks", "a1").stderr


def test_tree_draws_the_family_and_marks_who_is_archived_deleted_or_purged(
    run: Run, read: Query, trunk: UUID
) -> None:
    run("fork", "trunk", "early", "--at", "2")
    run("fork", "early", "leaf")
    run("fork", "trunk", "late", "--at", "5")
    run("archive", "early")
    nameless = run("fork", "leaf").stdout.strip()
    run("delete", nameless)
    gone = run("delete", "late").stdout.strip()
    run("purge", gone)
    heading, *lines = run("tree", "leaf", "--all").stdout.splitlines()
    assert heading.split() == ["version", "tokens", "changed", "state", "context"]
    assert [line[heading.index("context") :] for line in lines] == [
        "trunk",
        "├─ early @2",
        "│  └─ leaf @2 *",
        f"│     └─ {nameless} @2",
        f"└─ {gone} @5",
    ]
    states = [line[heading.index("state") : heading.index("context")].strip() for line in lines]
    assert states == ["", "archived", "", "deleted", "purged"]
    rows = {row["context_id"]: row for row in read("tree", gone)}
    assert (len(rows), rows[gone]["purged_at"] is None) == (5, False)
    assert len(read("tree", "leaf", "--all")) == 5


def test_purged_forks_leave_trees_unless_a_fork_of_theirs_is_alive(
    run: Run, read: Query, trunk: UUID
) -> None:
    gone = run("fork", "trunk", "gone").stdout.strip()
    bridge = run("fork", "trunk", "bridge").stdout.strip()
    run("fork", "bridge", "alive")
    for context in (gone, bridge):
        run("delete", context)
        run("purge", context)
    names = [line.split()[-2] for line in run("tree", "trunk").stdout.splitlines()[2:]]
    assert names == [bridge, "alive"]
    assert {row["context_id"] for row in read("tree", "trunk")} == {
        row["context_id"] for row in read("tree", "trunk", "--all")
    } - {gone}


def test_a_tree_a_thousand_deep_is_drawn(run: Run, trunk: UUID, database: str) -> None:
    run("policy", "set", "trunk", "max_fork_depth=1000")
    with psycopg.connect(database) as conn:
        conn.execute(
            """do $$
            declare v_id uuid := kata.find_context('trunk');
            begin
              for i in 1..1000 loop v_id := kata.fork(v_id); end loop;
            end $$"""
        )
    assert len(run("tree", "trunk").stdout.splitlines()) == 1002


def test_a_difference_is_drawn_as_git_draws_it(run: Run, read: Query, trunk: UUID) -> None:
    run("fork", "trunk", "branch", "--at", "4")
    run("append", "branch", "another \x1b[31m way\nout")
    shown = run("diff", "trunk", "branch", color=True).stdout
    assert "\x1b[31m-      5  user" in shown
    assert "\x1b[32m+      5  user" in shown
    assert shown.count("\x1b[31m") == 2  # the color is from the command, a message has none
    plain = run("diff", "trunk", "branch").stdout.splitlines()
    assert plain[:3] == ["--- trunk", "+++ branch", "@@ both up to version 4 @@"]
    assert [line.split()[:3] for line in plain[3:]] == [
        ["-", "5", "user"], ["-", "6", "assistant"], ["+", "5", "user"],
    ]  # fmt: skip
    found = read("diff", "trunk", "branch")
    assert found["common_ancestor"] == {"segment_id": str(trunk), "version": 4}
    assert [(entry["side"], entry["version"]) for entry in found["entries"]] == [("a", 5), ("a", 6), ("b", 5)]


def test_contexts_that_share_nothing_say_so(run: Run, trunk: UUID) -> None:
    run("create", "other")
    assert "@@ nothing in common @@" in run("diff", "other", "trunk").stdout


def test_two_versions_are_compared(run: Run, read: Query, trunk: UUID) -> None:
    assert [row["version"] for row in read("diff", "trunk", "--from", "fork here", "--to", "head~1")] == [
        4,
        5,
    ]
    assert [(row["change"], row["version"]) for row in read("diff", "trunk", "--from", "5", "--to", "3")] == [
        ("removed", 4), ("removed", 5),
    ]  # fmt: skip
    assert run("diff", "trunk", "--from", "head~1").stdout.split()[:3] == ["+", "6", "assistant"]


@pytest.mark.parametrize("arguments", [["t"], ["t", "u", "--from", "1"], ["t", "u", "--to", "1"]])
def test_a_difference_of_nothing_is_a_wrong_command_line(run: Run, arguments: list[str]) -> None:
    run("diff", *arguments, code=2)


def test_merge_appends_what_the_other_has_said(run: Run, read: Query, trunk: UUID) -> None:
    run("fork", "trunk", "branch", "--at", "4")
    for text in ("one", "two", "three"):
        run("append", "branch", text)
    assert [
        row["version"] for row in read("merge", "trunk", "branch", "--versions", "5-6", "--key", "k")
    ] == [7, 8]
    assert [
        row["version"] for row in read("merge", "trunk", "branch", "--versions", "5-6", "--key", "k")
    ] == [7, 8]
    assert [row["version"] for row in read("merge", "trunk", "branch")] == [9]
    assert read("show", "trunk", "9")["content"] == "three"
    assert "there is nothing to merge" in run("merge", "trunk", "branch").stderr
    assert "write 3,5-9 for example" in run("merge", "trunk", "branch", "--versions", "x", code=2).stderr


# Time


def test_history_lists_the_newest_first(run: Run, read: Query, trunk: UUID) -> None:
    run("pin", "trunk", "2")
    rows = read("history", "trunk")
    assert [(row["version"], row["kind"]) for row in rows] == [
        (7, "pin"), *((version, "message") for version in range(6, 0, -1)),
    ]  # fmt: skip
    assert [row["version"] for row in read("history", "trunk", "-n", "2", "--before", "fork here")] == [2, 1]
    assert rows[4]["checkpoints"] == ["fork here"]
    lines = run("history", "trunk").stdout.splitlines()
    assert re.fullmatch(r"version +kind +role +tokens +view +created +checkpoints +text", lines[0])
    assert re.search(r"fork here +message 3$", lines[5])


def test_history_reads_more_than_a_page(read: Query, database: str) -> None:
    with Kata(database) as opened:
        opened.create("long").append([{"role": "user", "content": "x", "token_count": 1}] * 2100)
    assert [row["version"] for row in read("history", "long", "-n", "5000")] == list(range(2100, 0, -1))


@pytest.mark.parametrize(("selector", "version"), [("2", 2), ("head~4", 2), ("fork here", 3), ("0", 0)])
def test_at_shows_a_context_as_it_was(
    run: Run, read: Query, trunk: UUID, selector: str, version: int
) -> None:
    found = read("at", "trunk", selector)
    assert found["version"] == version
    assert [row["content"] for row in found["messages"]] == [f"message {n}" for n in range(1, version + 1)]
    assert f"as of version {version}" in run("at", "trunk", selector).stderr


def test_at_a_moment_a_context_is_what_it_was_then(read: Query, trunk: UUID) -> None:
    moment = read("show", "trunk", "3")["created_at"]
    assert read("at", "trunk", moment)["version"] == 3
    assert read("at", "trunk", "1999-01-01T00:00:00Z") == {"version": 0, "messages": []}


def test_a_time_that_history_shows_leads_to_its_version(run: Run, read: Query, trunk: UUID) -> None:
    lines = run("history", "trunk").stdout.splitlines()[1:]
    shown = {
        found[0]: int(line.split()[0]) for line in lines[::-1] if (found := re.search(r"\d{4}-\S+T\S+", line))
    }
    assert len(shown) > 2
    assert {moment: read("at", "trunk", moment)["version"] for moment in shown} == shown


def test_at_before_a_compaction_the_messages_are_there(run: Run, read: Query, trunk: UUID) -> None:
    run("append", "trunk", "long " * 2000, "--role", "assistant")
    run("policy", "set", "trunk", "preserve_recent_count=0", "min_gain_tokens=0")
    run("append", "trunk", "and now?")
    run("compact", "trunk", "--force")
    assert [row["kind"] for row in read("at", "trunk", "head")["messages"]] == ["summary", "message"]
    assert len(read("at", "trunk", "head~1")["messages"]) == 8
    assert len(read("at", "trunk", "head", "--visibility", "raw")["messages"]) == 8
    changes = {row["change"] for row in read("diff", "trunk", "--from", "head~1")}
    assert changes == {"removed", "added"}


@pytest.mark.parametrize(
    "command", [("usage",), ("show",), ("window", "99"), ("prompt", "99"), ("artifacts",)]
)
def test_every_command_that_takes_a_version_takes_whatever_names_one(
    run: Run, trunk: UUID, command: tuple[str, ...]
) -> None:
    name, *rest = command
    expected = run(name, "trunk", *rest, "--at", "3", "--json").stdout
    for selector in ("fork here", "head~3"):
        assert run(name, "trunk", *rest, "--at", selector, "--json").stdout == expected


def test_a_checkpoint_is_made_moved_nowhere_and_dropped(run: Run, read: Query, trunk: UUID) -> None:
    assert run("checkpoint", "trunk", "now", "--note", "before the release").stdout == "6\n"
    assert read("checkpoint", "trunk", "then", "--at", "head~5")["version"] == 1
    complaint(run("checkpoint", "trunk", "now", code=1))
    assert [(row["name"], row["version"], row["note"]) for row in read("checkpoints", "trunk")] == [
        ("then", 1, None), ("fork here", 3, None), ("now", 6, "before the release"),
    ]  # fmt: skip
    assert read("checkpoint", "trunk", "now", "--drop") == {"name": "now", "version": 6, "dropped": True}
    assert "now" not in run("checkpoints", "trunk").stdout
    run("checkpoint", "trunk", "x", "--drop", "--note", "y", code=2)


# The end


def test_a_deleted_context_is_restored(run: Run, read: Query, trunk: UUID) -> None:
    deleted = run("delete", "trunk")
    assert deleted.stdout == f"{trunk}\n"
    assert f"kata restore {trunk}" in deleted.stderr
    complaint(run("usage", "trunk", code=1))
    assert read("restore", "trunk")["deleted_at"] is None
    assert read("usage", "trunk")["version"] == 6


def test_restore_names_the_ids_of_several_deleted_contexts(run: Run, trunk: UUID) -> None:
    run("delete", "trunk")
    other = run("create", "trunk").stdout.strip()
    run("delete", "trunk")
    message, hint = complaint(run("restore", "trunk", code=1))
    assert (str(trunk) in message, other in message, hint) == (True, True, "Pass the id.")
    run("restore", other)


def test_restore_refuses_a_context_that_is_not_deleted(run: Run, read: Query, trunk: UUID) -> None:
    run("delete", "trunk")
    run("create", "trunk")
    message, hint = complaint(run("restore", "trunk", code=1))
    assert (message, "kata list --deleted" in hint) == ('context "trunk" is not deleted', True)
    assert {row["context_id"] for row in read("list", "--deleted")} > {
        row["context_id"] for row in read("list")
    }


def test_a_time_that_is_shown_leads_back_to_its_row(run: Run, read: Query, trunk: UUID) -> None:
    run("append", "trunk", "one more")
    lines = run("history", "trunk").stdout.splitlines()[1:]
    shown = [
        (int(line.split()[0]), next(word for word in line.split() if "T" in word and "+" in word))
        for line in lines
    ]
    newest = {time: version for version, time in reversed(shown)}  # a batch has one time
    for time, version in newest.items():
        assert read("at", "trunk", time)["version"] == version
    assert len(newest) > 1


def test_an_archived_context_is_read_and_not_changed(run: Run, read: Query, trunk: UUID) -> None:
    assert read("archive", "trunk")["archived_at"] is not None
    assert read("usage", "trunk")["version"] == 6
    complaint(run("append", "trunk", "x", code=1))
    run("unarchive", "trunk")
    run("append", "trunk", "x")


def test_inactive_forks_are_archived_after_a_look(run: Run, read: Query, trunk: UUID) -> None:
    fork = run("fork", "trunk").stdout.strip()
    assert read("archive", "--inactive", "1d") == []
    assert [row["context_id"] for row in read("archive", "--inactive", "0s", "--dry-run")] == [fork]
    assert [row["context_id"] for row in read("archive", "--inactive", "0s")] == [fork]
    assert read("archive", "--inactive", "0s") == []
    run("archive", code=2)
    run("archive", "trunk", "--dry-run", code=2)


def test_a_dry_run_shows_what_a_purge_removes_and_forks_keep_theirs(
    run: Run, read: Query, trunk: UUID
) -> None:
    run("fork", "trunk", "branch", "--at", "4")
    complaint(run("purge", str(trunk), code=1))  # not deleted
    run("delete", "trunk")
    told = read("purge", str(trunk), "--dry-run")
    assert told == [{"context_id": str(trunk), "removed": 2, "kept": 4}]
    assert "this was a dry run" in run("purge", str(trunk), "--dry-run").stderr
    assert read("purge", str(trunk)) == told
    assert len(read("at", "branch", "head")["messages"]) == 4
    complaint(run("restore", str(trunk), code=1))


def test_deleted_contexts_are_purged_by_age(read: Query, run: Run, trunk: UUID) -> None:
    run("delete", "trunk")
    assert read("purge", "--older-than", "1d") == []
    assert [row["removed"] for row in read("purge", "--older-than", "0s", "--dry-run")] == [6]
    assert [row["removed"] for row in read("purge", "--older-than", "0s")] == [6]
    run("purge", code=2)
    assert "write 30d or 12h" in run("purge", "--older-than", "soon", code=2).stderr


@pytest.mark.parametrize("command", ["purge", "erase"])
def test_irreversible_commands_ask_for_the_label_of_the_database(run: Run, trunk: UUID, command: str) -> None:
    run("environment", "production")
    arguments = ["purge", str(trunk)]
    if command == "erase":
        arguments = ["erase", "trunk", "2", "--reason", "asked to"]
    else:
        run("delete", "trunk")
        run(*arguments, "--dry-run")
    message, hint = complaint(run(*arguments, code=1))
    assert 'labeled "production"' in message
    assert "--environment production" in hint
    complaint(run(*arguments, "--environment", "staging", code=1))
    run(*arguments, "--environment", "production")


def test_an_erased_message_is_blank_in_every_fork(run: Run, read: Query, trunk: UUID) -> None:
    run("fork", "trunk", "branch")
    rows = read("erase", "branch", "fork here", "--reason", "a secret")
    assert (str(trunk), 3) in {(row["segment_id"], row["version"]) for row in rows}
    assert read("show", "trunk", "3")["content"] in (None, "")
    assert run("verify", "trunk").exit_code == 0
    run("erase", "trunk", "3", code=2)  # without a reason


def test_json_is_an_option_of_every_command_of_these_families() -> None:
    for name in (
        "fork", "forks", "tree", "diff", "merge", "history", "at", "checkpoint", "checkpoints", "delete",
        "restore", "archive", "unarchive", "purge", "erase", "compact", "compactions", "undo", "pin", "unpin",
        "elide", "artifacts", "probe", "worker",
    ):  # fmt: skip
        assert "--json" in kata(name, "--help").stdout, name
    group = cli.get_command(None, "policy")  # type: ignore[arg-type]
    for name in ("show", "set", "presets"):
        assert "--json" in kata("policy", name, "--help").stdout, (group, name)
