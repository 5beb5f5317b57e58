"""Databases of several locales."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

if TYPE_CHECKING:
    from conftest import LaunchServer, TestServer

# Of the system where nothing else is said.
LOCALES = {
    "C": "locale 'C'",
    "C.UTF-8": "locale_provider libc locale 'C.UTF-8'",
    "tr_TR": "locale_provider libc locale 'tr_TR.UTF-8'",
    "ICU": "locale_provider icu icu_locale 'tr' locale 'C'",
    "PG_UNICODE_FAST": "locale_provider builtin builtin_locale 'PG_UNICODE_FAST' locale 'C'",
}


def create_or_skip(server: "TestServer", name: str, locale: str) -> str:
    """Create an empty database of a locale, and return its DSN."""
    try:
        server.execute(f"create database {name} encoding 'UTF8' {LOCALES[locale]} template template0")
    except psycopg.Error as error:
        pytest.skip(f"the server has no locale {locale}: {error.diag.message_primary}")
    return server.url(name)


@pytest.fixture(scope="session")
def foreign(launch_server: "LaunchServer", scratch: Path) -> Iterator["TestServer"]:
    """A server that knows the Turkish locale, made for it where the machine has its sources."""
    from conftest import FAST

    folder = scratch / "made-locales"
    folder.mkdir(mode=0o755)
    if shutil.which("localedef") and Path("/usr/share/i18n/locales/tr_TR").exists():
        command = ["localedef", "-i", "tr_TR", "-f", "UTF-8", str(folder / "tr_TR.UTF-8")]
        subprocess.run(command, check=True, capture_output=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCPATH", f"{folder}:/usr/lib/locale")
        yield launch_server("locales", FAST)
