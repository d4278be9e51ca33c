"""A way to a server over TCP, encrypted or not, for tests whose server listens on a Unix socket alone."""

import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1, signed by itself, and its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        signed.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return path


@contextmanager
def gateway(unix_path: str, encrypted_by: Path | None, clients_by: Path | None = None) -> Iterator[int]:
    """The port on 127.0.0.1 that leads there; `clients_by` signs the certificates that clients must show."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        thread = threading.Thread(
            target=_serve, args=(listening, unix_path, encrypted_by, clients_by), daemon=True
        )
        thread.start()
        try:
            yield port
        finally:
            # A close alone does not wake who waits in `accept`.
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(
    listening: socket.socket, unix_path: str, encrypted_by: Path | None, clients_by: Path | None
) -> None:
    context = None
    if encrypted_by is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(encrypted_by)
        if clients_by is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(clients_by)
    with suppress(OSError):
        while True:
            near = listening.accept()[0]
            threading.Thread(target=_join, args=(near, unix_path, context), daemon=True).start()


def _join(near: socket.socket, unix_path: str, context: ssl.SSLContext | None) -> None:
    with suppress(OSError), near, socket.socket(socket.AF_UNIX) as far:
        far.connect(unix_path)
        with near if context is None else context.wrap_socket(near, server_side=True) as plain:
            # Requests and answers take turns on the connections of these tests.
            while request := plain.recv(65_536):
                far.sendall(request)
                plain.sendall(far.recv(65_536))
