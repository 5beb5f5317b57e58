"""Statements over HTTP, in the form of Neon's gateway: each one a session of its own on a real server.

    python gateway.py DSN

Prints its port, and serves until killed.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import psycopg
from psycopg import pq


class Gateway(BaseHTTPRequestHandler):
    """Answers with the texts of the server."""

    def do_POST(self) -> None:
        """Run a statement."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with psycopg.connect(sys.argv[1], autocommit=True) as connection:
            parameters = [None if value is None else str(value).encode() for value in asked["params"]]
            result = connection.pgconn.exec_params(asked["query"].encode(), parameters)
        if result.status == pq.ExecStatus.TUPLES_OK:
            self.answer(200, rows_of(result))
            return
        said = {"message": pq.DiagnosticField.MESSAGE_PRIMARY, "code": pq.DiagnosticField.SQLSTATE}
        said |= {"detail": pq.DiagnosticField.MESSAGE_DETAIL, "hint": pq.DiagnosticField.MESSAGE_HINT}
        self.answer(400, {name: (result.error_field(field) or b"").decode() for name, field in said.items()})

    def answer(self, status: int, value: Any) -> None:
        """Send JSON."""
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


def rows_of(result: pq.abc.PGresult) -> dict[str, Any]:
    """Return the rows of a result, as texts."""
    columns = range(result.nfields)
    fields = [{"name": (result.fname(n) or b"").decode(), "dataTypeID": result.ftype(n)} for n in columns]
    values = [[result.get_value(row, n) for n in columns] for row in range(result.ntuples)]
    rows = [[None if value is None else value.decode() for value in row] for row in values]
    return {"fields": fields, "rows": rows, "rowCount": len(rows), "command": "SELECT"}


if __name__ == "__main__":
    server = HTTPServer(("127.0.0.1", 0), Gateway)
    print(server.server_port, flush=True)
    server.serve_forever()
