"""The conformance suite agent-memory-integrity: T1 to T9, edits of a store at rest, are noticed.

`make test-integrity` runs it, in a folder of its own. The attacker is a superuser of the database, who turns
triggers off and on again. A file of heads lies elsewhere, as docs/concepts.md describes.
"""

import json
from collections.abc import Callable
from contextlib import closing
from typing import Any
from uuid import UUID

import psycopg
import pytest
from agmi.adapters.base import MemoryAdapter, Record
from agmi.attacks.at_rest import AT_REST_ATTACKS_WITH_SNAPSHOT
from psycopg.conninfo import conninfo_to_dict

from kata_context import Kata, evidence

TRIGGERS = "select tgname from pg_trigger where tgrelid = 'kata_data.message'::regclass and not tgisinternal"


class KataAdapter(MemoryAdapter):
    """A context of the store, a second one for records from elsewhere, and the file of heads.

    Parameters
    ----------
    create_database : makes an empty store, or a copy of one
    template : the database that an empty store is a copy of
    """

    name = "kata-context"
    supports_replay = supports_metadata = supports_snapshot = True

    def __init__(self, create_database: Callable[[str], str], template: str) -> None:
        self.create_database = create_database
        self.template = template

    def setup(self) -> None:
        self.open(self.create_database(self.template))
        self.context, self.other = self.kata.create_context(), self.kata.create_context()

    def open(self, dsn: str) -> None:
        self.dsn = dsn
        self.kata = Kata(dsn)

    def teardown(self) -> None:
        self.kata.close()

    def reload(self) -> None:
        self.kata.close()
        self.open(self.dsn)

    def append(self, context: UUID, texts: list[str]) -> None:
        """Append as a program does, and keep the heads elsewhere."""
        self.kata.append(
            context, [{"role": "user", "content": text, "metadata": {"source": "user"}} for text in texts]
        )
        self.heads = list(evidence.file_lines(self.kata))

    def seed(self, n: int) -> None:
        self.append(self.context, [f"entry {number}" for number in range(n)])

    def seed_other(self, n: int) -> None:
        self.append(self.other, [f"entry {number} of another user" for number in range(n)])

    def append_genuine(self) -> None:
        self.append(self.context, ["one more"])

    def verify(self) -> bool:
        found = evidence.findings(self.kata, None, self.heads, 1)
        self.verify_detail = "; ".join(sorted({row.problem for row in found})) or None
        return not found

    # What the attacker does, past the functions

    def execute(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a statement that no trigger refuses, and leave the triggers as they were."""
        with closing(psycopg.connect(self.dsn)) as conn, conn.transaction():
            triggers = [row[0] for row in conn.execute(TRIGGERS).fetchall()]
            conn.execute("alter table kata_data.message disable trigger all")
            cursor = conn.execute(statement.encode(), values)
            rows = cursor.fetchall() if cursor.description else []
            conn.execute("alter table kata_data.message enable trigger all")
            for trigger in triggers:
                conn.execute(f"alter table kata_data.message enable always trigger {trigger}".encode())
        return rows

    def records_of(self, context: UUID) -> list[Record]:
        rows = self.execute(
            "select version, content, metadata from kata_data.message where segment_id = %s order by version",
            context,
        )
        return [
            Record(seq, {"owner": str(context), "id": row[0], "content": row[1], "metadata": row[2]})
            for seq, row in enumerate(rows)
        ]

    def read_all_raw(self) -> list[Record]:
        return self.records_of(self.context)

    def read_other_raw(self) -> list[Record]:
        return self.records_of(self.other)

    def change(self, seq: int, column: str, value: str) -> None:
        self.execute(
            f"update kata_data.message set {column} = %s where segment_id = %s and version = %s",
            value, self.context, self.read_all_raw()[seq].fields["id"],
        )  # fmt: skip

    def write_raw(self, record: Record) -> None:
        if record.seq < len(self.read_all_raw()):
            self.change(record.seq, "content", record.fields["content"])
            return
        self.execute(
            """
            insert into kata_data.message
            select (jsonb_populate_record(m, jsonb_build_object(
              'version', m.version + 1, 'group_version', m.version + 1, 'content', %s::text))).*
            from kata_data.message m
            where m.segment_id = %s
            order by m.version desc
            limit 1
            """,
            record.fields["content"], self.context,
        )  # fmt: skip

    def delete_raw(self, seq: int) -> None:
        version = self.read_all_raw()[seq].fields["id"]
        self.execute(
            "delete from kata_data.message where segment_id = %s and version = %s", self.context, version
        )

    def replay_onto(self, victim_seq: int, donor: Record) -> None:
        self.change(victim_seq, "content", donor.fields["content"])

    def read_meta(self, seq: int) -> dict[str, Any]:
        metadata: dict[str, Any] = self.read_all_raw()[seq].fields["metadata"]
        return metadata

    def write_meta(self, seq: int, meta: dict[str, Any]) -> None:
        self.change(seq, "metadata", json.dumps(meta))

    def mutate_payload(self, record: Record) -> Record:
        record.fields["content"] += ", changed"
        return record

    def payload_of(self, record: Record) -> str:
        return str(record.fields["content"])

    def identity_of(self, record: Record) -> str:
        return f"{record.fields['owner']}/{record.fields['id']}"

    def owner_of(self, record: Record) -> str:
        return str(record.fields["owner"])

    def snapshot_store(self) -> str:
        """Return a copy of the whole database, which holds all that the store keeps."""
        self.kata.close()
        copy = self.create_database(str(conninfo_to_dict(self.dsn)["dbname"]))
        self.open(self.dsn)
        return copy

    def restore_store(self, token: object) -> None:
        self.kata.close()
        self.open(str(token))


@pytest.mark.parametrize("attack", AT_REST_ATTACKS_WITH_SNAPSHOT, ids=lambda attack: str(attack.name))
def test_an_edit_of_the_store_at_rest_is_noticed(
    create_database: Callable[[str], str], template: str, attack: Any
) -> None:
    result = attack().run(KataAdapter(create_database, template))
    assert (result.status, result.error, result.guard) == ("safe", None, None), result
    print(result.attack, result.detail)
