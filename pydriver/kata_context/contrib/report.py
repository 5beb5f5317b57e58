"""A page about a context: its family, its log, and what a model sees of it, side by side.

The page is one file of HTML without scripts and without anything from a network, so text in a conversation
cannot run, whatever it is. Links lead from a row of the view to the message that it shows; a browser's own
keys reach them.
"""

from collections.abc import Iterator
from html import escape
from typing import Any
from uuid import UUID

from kata_context import Kata

PAGE = 1000  # rows per call
SHORT = 400  # characters of a text that show without being opened

REASONS = {
    "budget": "does not fit the budget",
    "deleted": "deleted",
    "rewound": "rewound",
    "covered": "comes back, for the summary of it does not fit",
    "preamble": "preamble",
    "pinned": "pinned",
    "newest": "newest group",
    "request": "the user's last request",
    "recalled": "recalled",
    "summary": "summary",
    "recent": "recent",
}

# The kinds of words that the view has in place of those of a message.
MARKS = {"stub": ", shortened", "amended": ", amended"}

STYLE = """
:root { color-scheme: light dark; --line: #8884; --dim: .5; --mark: #8882; }
* { box-sizing: border-box; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 100rem; padding: 1rem; }
h1 { font-size: 1.3rem; margin: 0 0 .3rem; } h2 { font-size: 1.05rem; margin: 1.2rem 0 .4rem; }
pre { font: inherit; margin: 0; overflow-wrap: anywhere; white-space: pre-wrap; }
summary pre { display: inline; }
code, .call { font-family: ui-monospace, monospace; font-size: .9em; }
dl { display: flex; flex-wrap: wrap; gap: .2rem 1.5rem; margin: 0; } dt { opacity: .7; } dd { margin: 0; }
dl div { display: flex; gap: .4rem; }
.sides { display: grid; gap: 1rem; grid-template-columns: 1fr 1fr; }
.side { border: 1px solid var(--line); border-radius: .4rem; height: 80vh; overflow: auto; }
@media (max-width: 60rem) { .sides { grid-template-columns: 1fr; } .side { height: 60vh; } }
.entry { border-bottom: 1px solid var(--line); content-visibility: auto; contain-intrinsic-size: auto 5rem;
  padding: .4rem .7rem; }
.entry:target { outline: 2px solid Highlight; outline-offset: -2px; }
.entry header { display: flex; flex-wrap: wrap; gap: .2rem .8rem; font-size: .85em; }
.entry header b { min-width: 5rem; }
.hidden pre, .hidden .call, .hidden header b { opacity: var(--dim); }
.hidden { background: var(--mark); }
.change { background: var(--mark); font-size: .85em; }
.reason { border: 1px solid var(--line); border-radius: 1rem; padding: 0 .5rem; }
ul.tree { list-style: none; margin: 0; padding: 0; } ul.tree li { padding: .1rem 0; }
a:focus-visible, summary:focus-visible, .side:focus-visible { outline: 2px solid Highlight; }
"""


def report(
    kata: Kata, context_id: UUID, *, at: int | None = None, budget: int | None = None
) -> Iterator[str]:
    """Yield the page in pieces.

    Parameters
    ----------
    at : the version that it shows; None for now
    budget : tokens of the window; None for the budget of the policy

    Raises
    ------
    KataError : as get_context and window
    """
    context = kata.get_context(context_id)
    version = context.version if at is None else at
    tokens = kata.get_policy(context_id)["budget"] if budget is None else budget
    window = kata.window(context_id, tokens, at=version)
    title = escape(context.name or str(context_id))
    yield f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}, version {version}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{title}</h1>
"""
    shown = sum(row.token_count for row in window)
    facts = {
        "context": str(context_id),
        "version": f"{version:,} of {context.version:,}",
        "tokenizer": context.tokenizer,
        "budget": f"{tokens:,} tokens",
        "the model sees": f"{len(window):,} messages, {shown:,} tokens",
    }
    if window and window[0].over_budget:
        facts["the model sees"] += ": what always comes exceeds the budget, so kata prompt refuses it"
    yield "<dl>"
    yield from (f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items())
    yield "</dl>\n<h2>Family</h2>\n"
    yield from _family(kata, context_id)
    yield from _compactions(kata, context_id, version)
    yield '<div class="sides">\n<section><h2>The log</h2><div class="side" tabindex="0">\n'
    yield from _log(kata, context_id, version, tokens)
    yield f"</div></section>\n<section><h2>What the model sees within {tokens:,} tokens</h2>"
    yield '<div class="side" tabindex="0">\n'
    yield from (_shown(row) for row in window)
    yield "</div></section>\n</div>\n</body>\n</html>\n"


def _family(kata: Kata, context_id: UUID) -> Iterator[str]:
    yield '<ul class="tree">\n'
    for row in kata.tree(context_id):
        name = escape(row.name or str(row.context_id))
        if row.context_id == context_id:
            name = f"<b>{name}</b>"
        states = {"archived": row.archived_at, "deleted": row.deleted_at, "purged": row.purged_at}
        state = "".join(f", {word}" for word, when in states.items() if when)
        fork = f", forked at {row.fork_version:,}" if row.fork_version is not None else ""
        yield (
            f'<li style="padding-left: {row.depth * 1.5}rem">{name} '
            f"<small>version {row.version:,}, {row.view_tokens:,} tokens in view{fork}{state}</small></li>\n"
        )
    yield "</ul>\n"


def _compactions(kata: Kata, context_id: UUID, version: int) -> Iterator[str]:
    made = [row for row in kata.compactions(context_id) if row.summary_version]
    made = [row for row in made if (row.summary_version or 0) <= version]
    if made:
        yield "<h2>Compactions</h2>\n<ul>\n"
        for row in made:
            yield (
                f'<li><a href="#v{row.summary_version}">version {row.summary_version:,}</a>: '
                f"{escape(row.strategy)}, {row.message_count or 0:,} messages, {row.source_tokens or 0:,} "
                f"tokens became {row.result_tokens or 0:,}</li>\n"
            )
        yield "</ul>\n"


def _log(kata: Kata, context_id: UUID, version: int, budget: int) -> Iterator[str]:
    """Yield every entry up to a version: messages, and the changes of the view between them."""
    reasons = {row.version: row for row in _explained(kata, context_id, version, budget)}
    marks = {row.version: MARKS.get(row.kind, "") for row in _view(kata, context_id, version)}
    entries = _history(kata, context_id, version)
    rewinds = {row.version: row.rewound_by for row in entries if (row.rewound_by or 0) <= version}
    changes = (row for row in entries if row.kind != "message")
    change = next(changes, None)
    for row in _messages(kata, context_id, version):
        while change is not None and change.version < row.version:
            yield _change(change)
            change = next(changes, None)
        why = reasons.get(row.version)
        is_shown = bool(why and why.shown)
        reason = why.reason if why else "covered" if row.compacted_into else "budget"
        text = REASONS.get(reason, reason)
        if row.compacted_into and not is_shown:
            text = f"covered by {_link(row.compacted_into)}"
        elif reason == "rewound" and (rewind := rewinds.get(row.version)):
            text = f"rewound by {_link(rewind)}"
        text += marks.get(row.version, "")
        yield _entry(row, f"v{row.version}", text, "" if is_shown else " hidden")
    while change is not None:
        yield _change(change)
        change = next(changes, None)


def _messages(kata: Kata, context_id: UUID, version: int) -> Iterator[Any]:
    after = 0
    while rows := kata.messages(context_id, after, max_rows=PAGE, visibility="all", at=version):
        yield from (row for row in rows if row.kind == "message")
        after = rows[-1].version


def _view(kata: Kata, context_id: UUID, version: int) -> Iterator[Any]:
    after = None
    while rows := kata.messages(context_id, after, max_rows=PAGE, at=version):
        yield from rows
        after = rows[-1].position


def _explained(kata: Kata, context_id: UUID, version: int, budget: int) -> Iterator[Any]:
    after = None
    while rows := kata.explain_window(context_id, budget, version, max_rows=PAGE, after=after):
        yield from rows
        after = rows[-1].version


def _history(kata: Kata, context_id: UUID, version: int) -> list[Any]:
    """Return all entries, oldest first."""
    found: list[Any] = []
    before = version + 1
    while rows := kata.history(context_id, before, max_rows=PAGE):
        found += rows
        before = rows[-1].version
    return found[::-1]


def _link(version: int) -> str:
    return f'<a href="#v{version}">version {version:,}</a>'


def _change(row: Any) -> str:
    text = f": {escape(row.preview)}" if row.preview else ""
    names = "".join(f" <b>{escape(name)}</b>" for name in row.checkpoints)
    return (
        f'<div class="entry change" id="v{row.version}">{row.version:,} {escape(row.kind)}{names}{text} '
        f"<small>{row.view_tokens:,} tokens in view</small></div>\n"
    )


def _shown(row: Any) -> str:
    reason = REASONS.get(row.reason, row.reason) + MARKS.get(row.kind, "")
    link = f'<a href="#v{row.version}">{row.version:,}</a>'
    return _entry(row, f"w{row.ordinal}", escape(reason), "", link)


def _entry(row: Any, id: str, reason: str, kind: str, number: str | None = None) -> str:
    """Return a message; reason is HTML."""
    name = f" {escape(row.name)}" if row.name else ""
    tool = f" <code>{escape(row.tool_name)}</code>" if row.tool_name else ""
    pinned = ' <span class="reason">pinned</span>' if getattr(row, "pinned", False) else ""
    return (
        f'<article class="entry{kind}" id="{id}"><header><b>{escape(row.role)}{name}</b>{tool}'
        f"<span>{number or f'{row.version:,}'}</span><span>{row.token_count:,} tokens</span>"
        f'<span class="reason">{reason}</span>{pinned}</header>{_text(row.content)}'
        f"{''.join(map(_call, row.tool_calls or []))}{''.join(map(_part, row.parts or []))}</article>\n"
    )


def _text(content: str | None) -> str:
    if not content:
        return ""
    if len(content) <= SHORT:
        return f"<pre>{escape(content)}</pre>"
    return (
        f"<details><summary><pre>{escape(content[:SHORT])}… {len(content):,} characters</pre></summary>"
        f"<pre>{escape(content[SHORT:])}</pre></details>"
    )


def _call(call: Any) -> str:
    function = call.get("function") or call.get("custom") or {}
    given = str(function.get("arguments", function.get("input", "")))
    return f'<div class="call">{escape(str(function.get("name", "")))}</div>{_text(given)}'


def _part(part: Any) -> str:
    """Name a part that is not text; its bytes stay in the database."""
    return "" if part.get("type") == "text" else f'<div class="call">[{escape(str(part.get("type")))}]</div>'
