"""Every file of sql/tests, each a test."""

from pathlib import Path

import pytest

from support import pgtap

FOLDER = Path(__file__).parent.parent / "sql" / "tests"
FILES = sorted(file for file in FOLDER.glob("*.sql") if not file.name.startswith("_"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_pgtap(file: Path, psql: Path, dsn: str) -> None:
    problems = pgtap.run(psql, dsn, file)
    if problems:
        pytest.fail("\n".join([file.name, *problems]), pytrace=False)
