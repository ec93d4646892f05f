"""The store's CA and certificate: deterministic bytes, and TLS handshakes with them."""

import socket
import ssl
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.certificates import END, StoreCertificate, issue

SECRET = "x7Gq2LwZr9TtKc4VbN8mYp3HsJd6Fa1E"
PEERS = "*.minio-nodes.slipway-store.svc.cluster.local"
HOSTS = ("minio", "minio.slipway-store.svc.cluster.local", PEERS, "localhost", "127.0.0.1")


def _server(issued: StoreCertificate, folder: Path) -> ssl.SSLContext:
    chain = folder / "chain.pem"
    chain.write_text(issued.certificate + issued.key.get_secret_value())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return context


def shake_hands(server: ssl.SSLContext, ca_certificates: str, host: str) -> str | None:
    """Return the protocol of a handshake of a client that trusts `ca_certificates` and connects to `host`."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                try:
                    server.wrap_socket(connection, server_side=True).close()
                except (ssl.SSLError, OSError):
                    return  # the client says what it did not like

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            context = ssl.create_default_context(cadata=ca_certificates)
            context.verify_flags |= ssl.VERIFY_X509_STRICT
            with (
                socket.create_connection(listening.getsockname(), timeout=10) as connection,
                context.wrap_socket(connection, server_hostname=host) as speaking,
            ):
                return speaking.version()
        finally:
            thread.join()


def test_the_same_inputs_give_the_same_bytes():
    assert issue(SECRET, 1, HOSTS) == issue(SECRET, 1, HOSTS)


@settings(max_examples=25)
@given(st.text(min_size=1, max_size=60), st.integers(1, 9), st.integers(1, 9))
def test_secrets_and_generations_share_no_key(secret, one, other):
    first, second = issue(secret, one, HOSTS), issue(secret, other, HOSTS)
    assert (first == second) is (one == other)
    assert (first.key == second.key) is (one == other)
    assert issue(f"{secret}.", one, HOSTS).key != first.key


@pytest.mark.parametrize(
    "host",
    [
        "minio",
        "minio.slipway-store.svc.cluster.local",
        "minio-3.minio-nodes.slipway-store.svc.cluster.local",
        "localhost",
        "127.0.0.1",
    ],
)
def test_a_handshake_succeeds_for_every_name(tmp_path, host):
    issued = issue(SECRET, 1, HOSTS)
    assert shake_hands(_server(issued, tmp_path), issued.ca_certificates, host) == "TLSv1.3"


@pytest.mark.parametrize("host", ["minio.team-a", "example.org", "127.0.0.2"])
def test_a_handshake_for_another_name_fails(tmp_path, host):
    issued = issue(SECRET, 1, HOSTS)
    with pytest.raises(ssl.SSLCertVerificationError, match=r"ismatch|not valid for"):
        shake_hands(_server(issued, tmp_path), issued.ca_certificates, host)


def test_a_certificate_of_another_ca_is_rejected(tmp_path):
    issued, stranger = issue(SECRET, 1, HOSTS), issue("another stack's secret", 1, HOSTS)
    with pytest.raises(ssl.SSLCertVerificationError, match=r"unable to get local issuer|self-signed"):
        shake_hands(_server(issued, tmp_path), stranger.ca_certificates, "minio")


def test_the_ca_is_constrained_to_the_stores_hosts(tmp_path):
    """A client that trusts the CA does not trust it for other hosts."""
    narrow, wide = issue(SECRET, 1, HOSTS), issue(SECRET, 1, (*HOSTS, "example.org"))
    assert shake_hands(_server(wide, tmp_path), wide.ca_certificates, "example.org")
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        shake_hands(_server(wide, tmp_path), narrow.ca_certificates, "example.org")


def test_clients_trust_this_and_the_next_generation(tmp_path):
    first, second, third = (issue(SECRET, generation, HOSTS) for generation in (1, 2, 3))
    assert shake_hands(_server(second, tmp_path), first.ca_certificates, "minio"), "nobody is interrupted"
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(_server(third, tmp_path), first.ca_certificates, "minio")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(_server(first, tmp_path), second.ca_certificates, "minio")
    assert shake_hands(_server(first, tmp_path), second.peers, "minio"), "servers restart one by one"


def test_the_certificate_has_its_key_usage():
    [certificate] = x509.load_pem_x509_certificates(issue(SECRET, 1, HOSTS).certificate.encode())
    ca = x509.load_pem_x509_certificates(issue(SECRET, 1, HOSTS).ca_certificates.encode())[0]
    certificate.verify_directly_issued_by(ca)
    found = {extension.oid._name: extension for extension in certificate.extensions}
    assert found["basicConstraints"].value.ca is False
    assert [use._name for use in found["extendedKeyUsage"].value] == ["serverAuth"]
    assert found["keyUsage"].value.digital_signature
    assert not found["keyUsage"].value.key_cert_sign
    assert certificate.not_valid_after_utc == END
    assert ca.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0


def test_other_names_give_another_serial_number():
    serials = {
        x509.load_pem_x509_certificate(issue(SECRET, generation, hosts).certificate.encode()).serial_number
        for generation in (1, 2)
        for hosts in (HOSTS, HOSTS[:3])
    }
    assert len(serials) == 4
    assert all(0 < serial < 1 << 159 for serial in serials)


def test_the_key_is_masked_and_matches_the_certificate():
    issued = issue(SECRET, 1, HOSTS)
    assert "PRIVATE" not in repr(issued)
    key = load_pem_private_key(issued.key.get_secret_value().encode(), password=None)
    shown = x509.load_pem_x509_certificate(issued.certificate.encode()).public_key()
    assert key.public_key() == shown
