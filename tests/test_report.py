"""`kata report`: a page that shows what a model sees, and on which nothing of a conversation runs."""

import json
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from uuid import UUID

import pytest

from conftest import ROOT
from kata_context import Kata
from kata_context.contrib.report import report
from support.commands import kata as command
from support.driver import tool_call

pytestmark = pytest.mark.slow

AIRLINE = ROOT / "tests" / "data" / "conversations" / "airline.jsonl"
# Ends an element, an attribute, a comment, a style, and opens what would run.
HOSTILE = (
    "</pre></style></title></script><script>alert(1)</script><img src=x onerror=alert(1)>"
    "\" onmouseover=\"alert(1)' onfocus='alert(1) <!-- --> ]]> <svg onload=alert(1)> &lt;b&gt; "
    "javascript:alert(1)"
)
TAGS = {
    "html", "head", "meta", "title", "style", "body", "h1", "h2", "dl", "div", "dt", "dd", "ul", "li", "b",
    "small", "section", "article", "header", "span", "pre", "code", "details", "summary", "a",
}  # fmt: skip
ATTRIBUTES = {"lang", "charset", "http-equiv", "content", "name", "class", "id", "href", "tabindex", "style"}


class Page(HTMLParser):
    """The elements of a page, the texts in it, and where its links lead."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def entries(self, mark: str) -> list[tuple[str, str | None]]:
        """Return class and id of the entries whose id begins with a mark."""
        return [
            (given.get("class") or "", given.get("id"))
            for _, given in self.elements
            if (given.get("id") or "").startswith(mark)
        ]


def page(kata: Kata, context_id: UUID, **options: int) -> Page:
    return Page("".join(report(kata, context_id, **options)))


def test_nothing_of_a_conversation_becomes_an_element(database: str) -> None:
    with Kata(database) as kata:
        context_id = kata.create_context(f"name {HOSTILE}"[:255])
        kata.append(
            context_id,
            [
                {"role": "system", "content": HOSTILE},
                {"role": "user", "content": HOSTILE * 9, "name": HOSTILE[:60], "pinned": True},
                {
                    "role": "assistant", "content": None,
                    "tool_calls": [tool_call(HOSTILE, HOSTILE, json.dumps({HOSTILE: HOSTILE}))],
                },
                {"role": "tool", "tool_call_id": HOSTILE, "tool_name": HOSTILE, "content": HOSTILE * 9},
                {"role": "assistant", "parts": [{"type": HOSTILE, "text": HOSTILE, HOSTILE: HOSTILE}]},
            ],
        )  # fmt: skip
        kata.checkpoint(context_id, HOSTILE[:200])
        kata.append_record(context_id, HOSTILE, {HOSTILE: HOSTILE})
        kata.elide(context_id, 1, 5, keep_tokens=10)
        kata.set_policy(context_id, {"preserve_recent_count": 0})
        kata.fork(context_id, name=f"fork {HOSTILE}"[:255])
        shown = page(kata, context_id)
    assert {tag for tag, _ in shown.elements} <= TAGS
    assert {name for _, given in shown.elements for name in given} <= ATTRIBUTES
    assert all((given["href"] or "").startswith("#v") for tag, given in shown.elements if tag == "a")
    policy = [given["content"] for tag, given in shown.elements if given.get("http-equiv")]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'"]
    # The text is there all the same.
    assert sum(HOSTILE in text for text in shown.texts) > 5


def test_the_log_and_the_view_say_why_each_message_is_there_or_not(database: str) -> None:
    conversation = json.loads(AIRLINE.read_text("utf-8").splitlines()[0])
    with Kata(database) as kata:
        context_id = kata.create_context(conversation["name"])
        kata.append(context_id, conversation["messages"])
        count = kata.usage(context_id).message_count
        kata.delete_messages(context_id, 2)
        kata.set_policy(context_id, {"preserve_recent_count": 2, "min_gain_tokens": 0})
        kata.compact(context_id, "digest", force=True)
        window = kata.window(context_id, 4000)
        shown = page(kata, context_id, budget=4000)
        log, view = shown.entries("v"), shown.entries("w")
        # Every entry of the log once, in order; the window as it is.
        assert [int((id or "")[1:]) for _, id in log] == [*range(1, count + 3)]
        assert len(view) == len(window)
        hidden = {int((id or "")[1:]) for kind, id in log if kind == "entry hidden"}
        messages = {*range(1, count + 1)}
        assert hidden == messages - {row.version for row in window}
        texts = Counter(shown.texts)
        assert texts["deleted"] == 1
        assert texts["covered by "] == len(hidden) - 1
        ids = [given["id"] for _, given in shown.elements if "id" in given]
        assert len(ids) == len(set(ids))
        links = {given["href"] for tag, given in shown.elements if tag == "a"}
        assert {(link or "")[1:] for link in links} <= {*ids}


def test_the_log_marks_what_is_rewound_amended_or_shortened(database: str) -> None:
    with Kata(database) as kata:
        chat = kata.create("marks")
        chat.append([{"role": "user", "content": word} for word in ("one", "two", "three")])
        chat.rewind(1)
        chat.append([{"role": "assistant", "tool_calls": [tool_call()]}])
        chat.append_message("tool", "found " * 200, tool_call_id="c")
        chat.append_message("assistant", "wrong words")
        chat.amend(7, {"content": "right words"})
        chat.elide(6, keep_tokens=20)
        shown, before = page(kata, chat.id, budget=4000), page(kata, chat.id, budget=4000, at=3)
    texts = Counter(shown.texts)
    assert texts["rewound by "] == 2
    links = [given["href"] for tag, given in shown.elements if tag == "a"]
    assert links.count("#v4") == 2
    # In the log and in the view.
    assert sum(text.endswith(", amended") for text in shown.texts) == 2
    assert sum(text.endswith(", shortened") for text in shown.texts) == 2
    assert texts["right words"] == texts["wrong words"] == 1
    assert not any("rewound" in text or "amended" in text for text in before.texts)


def test_a_past_version_is_shown_as_it_was(database: str) -> None:
    with Kata(database) as kata:
        context_id = kata.create_context()
        kata.append(context_id, [{"role": "user", "content": f"word {n}"} for n in range(5)])
        kata.delete_messages(context_id, 2)
        assert [id for kind, id in page(kata, context_id).entries("v") if "hidden" in kind] == ["v2"]
        before = page(kata, context_id, at=4)
        assert before.entries("v") == [("entry", f"v{n}") for n in range(1, 5)]
        assert len(before.entries("w")) == 4


def test_a_window_over_its_budget_is_called_so(database: str) -> None:
    with Kata(database) as kata:
        context_id = kata.create_context()
        kata.append_message(context_id, "user", "word " * 50)
        assert any("exceeds the budget" in text for text in page(kata, context_id, budget=5).texts)
        assert not any("exceeds the budget" in text for text in page(kata, context_id, budget=500).texts)


def test_the_command_writes_a_page_or_nothing(database: str, tmp_path: Path) -> None:
    command("import", str(AIRLINE), dsn=database)
    name = json.loads(AIRLINE.read_text("utf-8").splitlines()[0])["name"]
    path = tmp_path / "page.html"
    result = command("report", name, "3000", "--at", "head~2", "-o", str(path), dsn=database)
    assert result.stdout == f"wrote {path}\n"
    assert "What the model sees within 3,000 tokens" in "".join(Page(path.read_text("utf-8")).texts)
    path.unlink()
    command("report", "nothing", "-o", str(path), dsn=database, code=1)
    command("report", name, "-1", "-o", str(path), dsn=database, code=2)
    command("report", name, "--at", "999", "-o", str(path), dsn=database, code=1)
    assert not path.exists()
