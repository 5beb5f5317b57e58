"""`make bench`: our calls against bare SQL on the same server, both through bare psycopg.

Prints one line per result, and writes JSON lines. Durable means that a commit waits for the disk.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg

from appends import (
    append_behind_a_snapshot,
    append_hundred,
    append_one,
    append_ten_thousand,
    append_under_policy,
)
from clients import concurrency
from cold import cold
from command_line import command_line
from compactions import compactions
from forks import forks
from growth import growth
from harness import BARE, Bench, own_server, real_messages, scalar
from kata_context import __version__
from measure import Result, as_json, machine, write_lines
from probe import retention
from proxied import proxied
from recall import recall
from recorded import requests
from sizes import sizes
from through_driver import driver
from verification import verification
from windows import prompts, windows, windows_in_another_tokenizer, windows_with_records

SECTIONS: dict[str, Callable[[Bench], Iterator[Result]]] = {
    "append": append_one,
    "policy": append_under_policy,
    "batch": append_hundred,
    "snapshot": append_behind_a_snapshot,
    "memory": append_ten_thousand,
    "window": windows,
    "records": windows_with_records,
    "prompts": prompts,
    "requests": requests,
    "tokenizers": windows_in_another_tokenizer,
    "driver": driver,
    "proxy": proxied,
    "concurrency": concurrency,
    "sizes": sizes,
    "compactions": compactions,
    "forks": forks,
    "growth": growth,
    "recall": recall,
    "cli": command_line,
    "cold": cold,
    "probe": retention,
    "verify": verification,
}


def main() -> None:
    """Run the benchmarks on a server of their own, with the settings of Postgres as they come."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "sections", nargs="*", choices=[*SECTIONS, []], metavar="SECTION",
        help=f"which of {', '.join(SECTIONS)}; default: all",
    )  # fmt: skip
    parser.add_argument("--pairs", type=int, default=30, help="pairs of runs a comparison (default 30)")
    parser.add_argument(
        "--size", type=int, default=1_000_000,
        help="messages of the long context of growth, of recall up to 100000, of verify (default 1000000)",
    )  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write JSON lines to this file")
    options = parser.parse_args()

    with own_server() as (server, dsn):
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(BARE)
            version = scalar(connection, "show server_version")
        about = machine(
            **{"PostgreSQL": version, "kata-context": __version__, "psycopg": psycopg.__version__}
        )
        about |= {"pairs": options.pairs}
        lines = [json.dumps(about)]
        print(lines[0], flush=True)
        bench = Bench(server, dsn, real_messages(), options.pairs, options.size)
        for section in options.sections or SECTIONS:
            for result in SECTIONS[section](bench):
                lines.append(as_json(section, result))
                print(result.show(), flush=True)
            if options.json:
                write_lines(options.json, lines)


if __name__ == "__main__":
    main()
