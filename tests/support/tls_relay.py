"""Encryption in front of a server that has none.

    python tls_relay.py SOCKET CERTIFICATE KEY

Listens on every address of this machine, prints its port, answers a request for TLS with the certificate, and
passes the rest on to the Unix socket of a server.
"""

import socket
import ssl
import sys
from threading import Thread

SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"


def pump(source: socket.socket, target: socket.socket) -> None:
    """Pass on everything that comes, then the end."""
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    finally:
        target.close()


def serve(client: socket.socket, path: str, context: ssl.SSLContext) -> None:
    """Serve one client."""
    if client.recv(len(SSL_REQUEST), socket.MSG_WAITALL) != SSL_REQUEST:
        client.close()
        return
    client.sendall(b"S")
    try:
        encrypted = context.wrap_socket(client, server_side=True)
    except OSError:
        return  # the client does not trust the certificate
    server = socket.socket(socket.AF_UNIX)
    server.connect(path)
    Thread(target=pump, args=(server, encrypted), daemon=True).start()
    pump(encrypted, server)


def main(path: str, certificate: str, key: str) -> None:
    """Serve until killed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("0.0.0.0", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            client, _ = listener.accept()
            Thread(target=serve, args=(client, path, context), daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:4])
