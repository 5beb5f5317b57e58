"""`python -m generate`: writes every generated file, from a server of its own."""

import tempfile
from pathlib import Path

import psycopg

from generate.catalog import ROOT
from generate.render import render
from kata_context import migrate
from kata_context.embedded import Server


def main() -> None:
    """Write the files that have changed."""
    with tempfile.TemporaryDirectory(prefix="kata-generate-") as folder:
        Path(folder).chmod(0o755)  # the account of the server passes through
        server = Server(Path(folder) / "home")
        dsn = server.start()
        try:
            migrate.up(dsn)
            with psycopg.connect(dsn) as connection:
                for file, text in render(connection).items():
                    if not file.exists() or file.read_text() != text:
                        file.write_text(text)
                        print(f"wrote {file.relative_to(ROOT)}")
        finally:
            server.stop()


if __name__ == "__main__":
    main()
