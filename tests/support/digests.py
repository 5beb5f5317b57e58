"""Recomputes the digests of a context as docs/concepts.md describes them, by public calls and SHA-256."""

import json
from collections.abc import Iterator
from datetime import datetime, timezone
from hashlib import sha256
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import namedtuple_row

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
# jsonb counts as Postgres prints it, so its text is taken over, never parsed and written again.
ROW = """
m.version, m.content, m.role, m.token_count, m.token_source, m.group_version, m.segment_id, m.created_at,
m.tool_call_id, m.tool_name, m.tool_calls, (
  select jsonb_object_agg(f.key, f.value)::text
  from jsonb_each(to_jsonb(m)) f
  where f.key in ('name', 'model', 'tool_calls', 'parts', 'provider', 'metadata')
    and f.value <> 'null') as fields
"""
MESSAGES = f"select {ROW} from kata.messages(%s, %s, 1000, visibility => 'all') m"
MESSAGE = f"select {ROW} from kata.get_message(%s, %s) m"
# As of its own version every entry is on the line, whatever was rewound since.
RECORD = (
    "select version, kind, data::text, external_id, created_at from kata.records(%s, null, %s, 1, at => %s)"
)
TOOLS = "select tools::text, token_count from kata.get_tools(%s, %s)"
ACTS = """
select number as version, kind, acted_at, acted_by, facts, content::text, digest, frame, content_digest, salt
from kata.acts(%s, %s, 1000)
"""
AMENDED = f"""
select {ROW.replace("'model', ", "")}
from kata.state_at(%s, %s, max_rows => 1000) m
where int8multirange(int8range(m.version, m.version, '[]')) = %s::int8multirange
"""
ENTRIES = "select * from kata.entry_digests(%s, %s, 1000)"
STUBS = (
    "select version, token_count, content from kata.state_at(%s, %s, max_rows => 1000) where kind = 'stub'"
)


class Verifier:
    """Reads a context once and says where its digests contradict what it shows."""

    def __init__(self, conn: psycopg.Connection[Any], context_id: UUID | str) -> None:
        self.cursor = conn.cursor(row_factory=namedtuple_row)
        self.context_id = context_id
        self.found: list[str] = []
        self.digests: dict[int, bytes] = {}
        self.messages = {row.version: row for row in self._pages(MESSAGES)}

    def damage(self) -> list[str]:
        """Return "problem at version" for everything that is not as the digests say."""
        family = self._rows("select context_id from kata.tree(%s) where parent_id is null", self.context_id)
        digest, version = sha256(family[0].context_id.bytes).digest(), 0
        for entry in self._pages(ENTRIES):
            version += 1
            if entry.version != version:
                self._find("gap", version)
                version = entry.version
            number, kind, *fields, marks = entry.frame.split("|", 10 if entry.kind == "message" else 5)
            shown = json.loads(marks) if marks else {}
            if (number, kind) != ("1", entry.kind):
                self._find("frame", version)
            check = self._check_message if kind == "message" else self._check_change
            check(entry, fields, shown)
            covered = digest + entry.frame.encode() + (entry.content_digest or b"")
            if entry.digest != sha256(covered).digest():
                self._find("digest", version)
            digest = entry.digest
            self.digests[version] = digest
        if version != self._rows("select version from kata.get_context(%s)", self.context_id)[0].version:
            self._find("gap", version + 1)
        self._check_acts()
        return self.found

    def _check_acts(self) -> None:
        """Recompute the chain of acts; the first act of a fork holds the digest of the log there."""
        digest = sha256(UUID(str(self.context_id)).bytes).digest()
        for number, act in enumerate(self._pages(ACTS), 1):
            form, kind, *fields, facts = act.frame.split("|", 6)
            shown = [str(self.context_id), str(number), str(microseconds(act.acted_at)), act.kind]
            if (form, kind, *fields) != ("1", "act", *shown) or json.loads(facts) != act.facts | {
                "by": act.acted_by
            }:
                self._find("act frame", number)
            if act.content is not None or act.content_digest is not None:
                self._check_text(act, act.salt, act.content or "", act.content_digest, act.content)
            if act.digest != sha256(digest + act.frame.encode() + (act.content_digest or b"")).digest():
                self._find("act digest", number)
            version = act.facts["version"] if act.kind == "fork" else 0
            if version and self.digests[version].hex() != act.facts["digest"]:
                self._find("fork", number)
            digest = act.digest

    def _check_message(self, entry: Any, fields: list[str], marks: dict[str, Any]) -> None:
        row = self.messages[entry.version]
        values = [row.segment_id, row.version, microseconds(row.created_at), row.role]
        values += [row.token_count, row.token_source, row.group_version]
        named = [marks.get("tool_call_id"), marks.get("tool_name")]
        called = [marks.get("call_ids", []), marks.get("call_names", [])]
        shown = [[call["id"] for call in row.tool_calls or []], [*map(call_name, row.tool_calls or [])]]
        if [*map(str, values)] != fields[:-1] or named + called != [row.tool_call_id, row.tool_name, *shown]:
            self._find("frame", entry.version)
        self._check_text(entry, entry.salt, text_of(row), entry.content_digest, row.content)

    def _check_change(self, entry: Any, fields: list[str], marks: dict[str, Any]) -> None:
        if "summary" in marks:
            row = self._rows(MESSAGE, self.context_id, entry.version)[0]
            if marks["summary"] != {
                name: getattr(row, name) for name in ("role", "token_count", "token_source")
            }:
                self._find("frame", entry.version)
            self._check_text(entry, entry.salt, text_of(row), entry.content_digest, row.content)
        elif "record" in marks:
            row = self._rows(RECORD, self.context_id, entry.version - 1, entry.version)[0]
            values = {"kind": row.kind} | ({"external_id": row.external_id} if row.external_id else {})
            if marks["record"] != values or int(fields[2]) != microseconds(row.created_at):
                self._find("frame", entry.version)
            self._check_text(entry, entry.salt, row.data or "", entry.content_digest, row.data)
        elif "amendment" in marks:
            # Words of a message that left the view are shown nowhere.
            for row in self._rows(AMENDED, self.context_id, entry.version, marks["versions"]):
                if marks["amendment"] != {
                    name: getattr(row, name) for name in ("token_count", "token_source")
                }:
                    self._find("frame", entry.version)
                self._check_text(entry, entry.salt, text_of(row), entry.content_digest, row.content)
        elif entry.content_digest is not None or entry.salt is not None:
            self._find("content", entry.version)
        if "tools" in marks:
            row = self._rows(TOOLS, self.context_id, entry.version)[0]
            digest = sha256(row.tools.encode()).hexdigest()
            if marks["tools"] != {"digest": digest, "token_count": row.token_count}:
                self._find("frame", entry.version)
        if "stubs" in marks:
            shown = {row.version: row for row in self._rows(STUBS, self.context_id, entry.version)}
            for (version, tokens, digest), salt in zip(marks["stubs"], entry.stub_salts, strict=True):
                row = shown[version]
                if row.token_count != tokens:
                    self._find("frame", entry.version)
                self._check_text(entry, salt, row.content or "", bytes.fromhex(digest), row.content)

    def _check_text(
        self, entry: Any, salt: bytes | None, text: str, digest: bytes | None, shown: str | None
    ) -> None:
        """Compare a text with its digest; of an erased text both salt and words are gone."""
        if salt is None:
            if shown or len(digest or b"") != 32:
                self._find("erasure", entry.version)
        elif len(salt) != 16:
            self._find("salt", entry.version)
        elif digest != sha256(salt + text.encode()).digest():
            self._find("content", entry.version)

    def _find(self, problem: str, version: int) -> None:
        if f"{problem} at {version}" not in self.found:
            self.found.append(f"{problem} at {version}")

    def _rows(self, statement: str, *arguments: object) -> list[Any]:
        return self.cursor.execute(statement.encode(), arguments).fetchall()

    def _pages(self, statement: str) -> Iterator[Any]:
        after = 0
        while page := self._rows(statement, self.context_id, after):
            yield from page
            after = page[-1].version


def text_of(row: Any) -> str:
    """Return the content of a message or summary as its digest covers it."""
    return f"{row.fields or ''}|{'t' if row.content is None else 'f'}|{row.content or ''}"


def call_name(call: dict[str, Any]) -> str:
    """Return the name of the function or custom tool that a call calls."""
    name: str = call["custom" if call.get("type") == "custom" else "function"]["name"]
    return name


def microseconds(moment: datetime) -> int:
    """Return the microseconds since 1970."""
    since = moment - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def damage(conn: psycopg.Connection[Any], context_id: UUID | str) -> list[str]:
    """Return where the digests of a context contradict what it shows."""
    return Verifier(conn, context_id).damage()
