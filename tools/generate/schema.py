"""The tables and types of schema kata_data, as their migrations and COMMENTs describe them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.rows import TupleRow, class_row

from generate.catalog import ROOT
from generate.template import as_filter, fill
from kata_context.migrate.files import read_tree

PAGE = ROOT / "docs" / "schema.md"
CREATES = re.compile(r"^create (?:table|type|sequence|domain) kata_data\.(\w+)", re.MULTILINE)

RELATIONS = """
select t.typname::text as name,
  case when c.relkind = 'r' then 'table' when c.relkind = 'c' then 'type' else 'domain or enum' end as kind,
  case when c.relkind = 'r' then obj_description(c.oid, 'pg_class')
    else obj_description(t.oid, 'pg_type') end as comment
from pg_type t
left join pg_class c on c.oid = t.typrelid
where t.typnamespace = 'kata_data'::regnamespace
  and (c.relkind in ('r', 'c') or t.typtype in ('d', 'e'))
union all
select c.relname::text, 'sequence', obj_description(c.oid, 'pg_class')
from pg_class c
where c.relnamespace = 'kata_data'::regnamespace
  and c.relkind = 'S'
  and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'i')
"""
COLUMNS = """
select c.relname::text as relation, a.attname::text as name, format_type(a.atttypid, a.atttypmod) as type,
  not a.attnotnull as nullable, pg_get_expr(d.adbin, d.adrelid) as default,
  col_description(c.oid, a.attnum) as comment
from pg_class c
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
where c.relnamespace = 'kata_data'::regnamespace
  and c.relkind in ('r', 'c')
order by a.attnum
"""
# Postgres 18 has NOT NULL among them.
CONSTRAINTS = """
select c.relname::text as relation, o.conname::text as name, pg_get_constraintdef(o.oid, true) as definition,
  obj_description(o.oid, 'pg_constraint') as comment
from pg_constraint o
join pg_class c on c.oid = o.conrelid
where o.connamespace = 'kata_data'::regnamespace
  and o.contype <> 'n'
order by position(o.contype in 'pufc'), o.conname
"""
INDEXES = """
select t.relname::text as relation, c.relname::text as name,
  concat(case when i.indisunique then 'UNIQUE ' end,
    substring(pg_get_indexdef(c.oid, 0, true) from ' USING (.*)$')) as definition,
  obj_description(c.oid, 'pg_class') as comment
from pg_index i
join pg_class c on c.oid = i.indexrelid
join pg_class t on t.oid = i.indrelid
where c.relnamespace = 'kata_data'::regnamespace
  and not exists (select from pg_constraint o where o.conindid = c.oid and o.contype in ('p', 'u'))
order by c.relname
"""


@dataclass(frozen=True)
class Column:
    """A column of a table, or a field of a composite type."""

    relation: str
    name: str
    type: str
    nullable: bool
    default: str | None
    comment: str | None


@dataclass(frozen=True)
class Part:
    """A constraint or an index."""

    relation: str
    name: str
    definition: str
    comment: str | None


@dataclass(frozen=True)
class Relation:
    """A table, type or sequence."""

    name: str
    kind: str
    comment: str | None
    columns: tuple[Column, ...]
    constraints: tuple[Part, ...]
    indexes: tuple[Part, ...]

    @property
    def uncommented(self) -> Iterator[str]:
        """The names without a COMMENT that need one; for constraints and fields their name may do."""
        parts: tuple[Column | Part, ...] = (*self.columns, *self.indexes) if self.kind == "table" else ()
        yield from (f"{self.name}.{part.name}" for part in parts if not part.comment)
        if not self.comment:
            yield self.name


@dataclass(frozen=True)
class Subject:
    """A migration: what its opening comment says, and what it creates."""

    title: str
    paragraphs: tuple[str, ...]
    relations: tuple[Relation, ...]


def page(connection: psycopg.Connection[TupleRow]) -> dict[Path, str]:
    """Return the text of the page."""
    return {PAGE: fill("schema.md.j2", subjects=subjects(connection))}


def subjects(connection: psycopg.Connection[TupleRow]) -> list[Subject]:
    """Return the relations of a migrated database, by the migration that creates them."""
    found = relations(connection)
    return [
        Subject(*opening(text), tuple(found[name] for name in CREATES.findall(text) if name in found))
        for migration in read_tree(ROOT / "sql").migrations
        for text in [migration.up.body.decode()]
    ]


def relations(connection: psycopg.Connection[TupleRow]) -> dict[str, Relation]:
    """Return the tables, types and sequences of schema kata_data by name."""
    columns = connection.cursor(row_factory=class_row(Column)).execute(COLUMNS).fetchall()
    constraints = connection.cursor(row_factory=class_row(Part)).execute(CONSTRAINTS).fetchall()
    indexes = connection.cursor(row_factory=class_row(Part)).execute(INDEXES).fetchall()
    return {
        name: Relation(
            name,
            kind,
            comment,
            tuple(column for column in columns if column.relation == name),
            tuple(constraint for constraint in constraints if constraint.relation == name),
            tuple(index for index in indexes if index.relation == name),
        )
        for name, kind, comment in connection.execute(RELATIONS)
    }


def opening(text: str) -> tuple[str, tuple[str, ...]]:
    """Return title and paragraphs of the comment that opens a migration."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("--"):
            break
        if not line.startswith("-- kata:"):
            lines.append(line.removeprefix("--").strip())
    first, *others = "\n".join(lines).split("\n\n")
    title, _, rest = first.rstrip(".").partition(": ")
    return title, tuple(one for one in (f"{rest[:1].upper()}{rest[1:]}." if rest else "", *others) if one)


@as_filter
def prose(text: str | None) -> str:
    """Return a text as one line of Markdown, identifiers set as code."""
    words = " ".join((text or "").split()).replace("*", "\\*").replace("<", "&lt;").replace("|", "\\|")
    # A table that is introduced, and every word with an underscore or a schema.
    words = re.sub(r"\b(\w+)(?= has one row\b)", r"`\1`", words)
    return re.sub(r"(?<![`\w.])(?:kata(?:_data)?\.\w+|[a-z]+(?:_[a-z]+)+)(?![`\w])", r"`\g<0>`", words)


@as_filter
def cell(code: str) -> str:
    """Return code for a cell of a table."""
    return code.replace("timestamp with time zone", "timestamptz").replace("|", "\\|")
