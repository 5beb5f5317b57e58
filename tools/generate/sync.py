"""Derives the twin for threads from an asynchronous module.

The source is read as tokens. `async`, `await`, parentheses around `await` and `Awaitable[…]` go. Names follow
the table and two rules: `AsyncPool` becomes `Pool`, `sleep_async` becomes `sleep`. Strings and comments are
renamed word by word. A block `if True:  # ASYNC` goes; the block of its `else` takes its place:

    if True:  # ASYNC
        return await asyncio.wait_for(result, seconds)
    else:
        return result

Where threads and event loops differ otherwise, kata_context.driver.concurrency has a pair of names.
"""

import io
import re
import textwrap
from itertools import accumulate
from keyword import iskeyword
from tokenize import NAME, OP, TokenInfo, generate_tokens

NAMES = {
    "asynccontextmanager": "contextmanager",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
}
MODULES = {
    "kata_context.compaction.compactor_async": "kata_context.generated.compactor",
    "kata_context.recall.indexer_async": "kata_context.generated.indexer",
    "kata_context.driver.client_async": "kata_context.generated.client",
    "kata_context.driver.pool_async": "kata_context.generated.pool",
}
PROSE = {"asyncio": "threads"}
WORDS = re.compile(r"\b(?:async|await) |\b\w+\b")
BLOCK = re.compile(
    r"^(?P<margin> *)if True:  # ASYNC\n(?:(?P=margin) +.*\n|\n)+"
    r"(?:(?P=margin)else:\n(?P<threads>(?:(?P=margin) +.*\n|\n)+))?",
    re.MULTILINE,
)


def without_async(text: str) -> str:
    """Return the twin of a module."""
    for source, twin in MODULES.items():
        text = text.replace(source, twin)
    text = BLOCK.sub(
        lambda block: textwrap.indent(textwrap.dedent(block["threads"] or ""), block["margin"]), text
    )
    lines = [0, *accumulate(map(len, text.splitlines(keepends=True)))]
    tokens = list(generate_tokens(io.StringIO(text).readline))
    dropped = superfluous(tokens)
    made, done = "", 0
    for place, token in enumerate(tokens):
        start, end = (lines[row - 1] + column for row, column in (token.start, token.end))
        made += text[done:start]
        done = end
        if token.type == NAME and token.string in ("async", "await"):
            done += 1  # the space
        elif token.type in (NAME, OP):
            made += "" if place in dropped else renamed(token.string)
        else:
            made += WORDS.sub(lambda word: PROSE.get(word[0]) or renamed(word[0]), text[start:end])
    return made


def renamed(name: str) -> str:
    """Return the name in the twin."""
    if name in ("async ", "await "):
        return ""
    return NAMES.get(name) or re.sub(r"_async$", "", re.sub(r"^(_?)Async(?=[A-Z])", r"\1", name))


def superfluous(tokens: list[TokenInfo]) -> set[int]:
    """Return the places of tokens that have no use in the twin.

    They are the parentheses in `(await f(x))[0]`, and `Awaitable[` and `]` in `Awaitable[str]`.
    """
    found: set[int] = set()
    for place, token in enumerate(tokens[:-1]):
        before, after = tokens[place - 1], tokens[place + 1]
        is_call = before.string in (")", "]") or (before.type == NAME and not iskeyword(before.string))
        if token.string == "(" and after.string == "await" and not is_call:
            closing = matching(tokens, place)
            if closing is not None and tokens[closing].start[0] == token.start[0]:
                found |= {place, closing}
        elif token.string == "Awaitable" and after.string == "[":
            closing = matching(tokens, place + 1)
            if closing is not None:
                found |= {place, place + 1, closing}
    return found


def matching(tokens: list[TokenInfo], opening: int) -> int | None:
    """Return the place of the closing parenthesis; None if more than one operand is in between."""
    depth = 0
    for place in range(opening, len(tokens)):
        token = tokens[place]
        depth += (token.string in ("(", "[", "{")) - (token.string in (")", "]", "}"))
        if depth == 0:
            return place
        is_part = token.string in "([{)]}." if token.type == OP else not iskeyword(token.string)
        if depth == 1 and not is_part and token.string != "await":
            return None
    return None
