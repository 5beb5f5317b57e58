"""Record the digests of new cases and new files: `python tests/golden/record.py DSN`. Others stay."""

import hashlib
import sys
from contextlib import closing
from pathlib import Path

import psycopg
from psycopg.types.json import Jsonb

sys.path.insert(0, str(Path(__file__).parent.parent))

from test_renderers import ALL, FOLDER, FORMS, GOLDEN, RENDER, cases


def record(dsn: str) -> None:
    """Add what is missing, from a migrated database."""
    listed = (GOLDEN / "frozen.sha256").read_text().splitlines()
    names = {line.split()[1] for line in listed}
    listed += [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}"
        for file in FOLDER.glob("*.sql")
        if file.name not in names
    ]
    lines = sorted(listed, key=lambda line: line.split()[1])
    (GOLDEN / "frozen.sha256").write_text("\n".join(lines) + "\n")
    recorded = (GOLDEN / "digests_1.txt").read_text().splitlines()
    with closing(psycopg.connect(dsn, autocommit=True)) as conn:
        conn.execute(RENDER)
        found = conn.execute(ALL, [Jsonb(cases()[len(recorded) :]), list(FORMS)]).fetchall()
    recorded += [" ".join(row[0]) for row in found]
    (GOLDEN / "digests_1.txt").write_text("\n".join(recorded) + "\n")


if __name__ == "__main__":
    record(sys.argv[1])
