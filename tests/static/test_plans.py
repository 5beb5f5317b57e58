"""A function's planner settings are those of a profile of docs/plans.md, which its file names."""

import re
from pathlib import Path

from support.sql_files import FUNCTION_FILES, ROOT, Function, functions, place

PAGE = ROOT / "docs" / "plans.md"
# Not about plans.
OTHERS = {"search_path", "timezone", "bytea_output"}
MARK = re.compile(r"^-- plans: (\w+)$", re.MULTILINE)


def profiles() -> dict[str, dict[str, str]]:
    """Return the settings of every profile, as the table of the page lists them."""
    rows = re.findall(r"^\| `(\w+)` \| ((?:`\w+ = [^`]+`(?:, )?)+) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    return {
        name: dict(setting.split(" = ") for setting in re.findall(r"`([^`]+)`", settings))
        for name, settings in rows
    }


def planner_settings(function: Function) -> dict[str, str]:
    """Return the settings of a function that are about plans."""
    return {name: value for name, value in function.settings.items() if name not in OTHERS}


def marked(file: Path) -> list[str]:
    """Return the profiles that a file names."""
    return MARK.findall(file.read_text("utf-8"))


def test_the_page_lists_the_profiles() -> None:
    assert {"lookup", "reader"} <= profiles().keys()
    assert all(profiles().values())


def test_the_settings_of_a_function_are_exactly_those_of_the_profile_that_its_file_names() -> None:
    known = profiles()
    offenders = [
        f"{function}: {settings} is not {' '.join(marked(file)) or 'a profile'}"
        for file in FUNCTION_FILES
        for function in functions(file)
        if (settings := planner_settings(function))
        and [settings] != [known.get(name) for name in marked(file)]
    ]
    assert offenders == []


def test_a_file_that_names_a_profile_has_a_function_of_it() -> None:
    offenders = [
        place(file)
        for file in FUNCTION_FILES
        if marked(file) and not any(map(planner_settings, functions(file)))
    ]
    assert offenders == []


def test_a_reader_is_stable_and_a_writer_volatile() -> None:
    volatility = {"reader": "stable", "writer": "volatile"}
    offenders = [
        f"{function} is {function.options['volatility']}"
        for file in FUNCTION_FILES
        for function in functions(file)
        if planner_settings(function)
        for name in marked(file)
        if function.options["volatility"] != volatility.get(name, function.options["volatility"])
    ]
    assert offenders == []


def test_a_public_function_that_reads_or_writes_has_a_profile() -> None:
    offenders = [
        str(function)
        for file in FUNCTION_FILES
        for function in functions(file)
        if function.schema == "kata" and not planner_settings(function) and function.name != "version"
    ]
    assert offenders == []


def test_every_profile_is_in_use() -> None:
    used = {name for file in FUNCTION_FILES for name in marked(file)}
    assert used == profiles().keys()


def test_every_test_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE.read_text("utf-8")))
    source = "\n".join(file.read_text("utf-8") for file in (ROOT / "tests").rglob("test_*.py"))
    assert named
    assert sorted(name for name in named if f"def {name}(" not in source) == []
