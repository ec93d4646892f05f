from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from embedded.cluster.pki import LEAF_LIFE, RENEW_BEFORE, ROOT_LIFE, Pki, leaves

NODE, API = IPv4Address("198.18.12.2"), IPv4Address("198.18.8.1")
WANTED = leaves("mine", NODE, API)
NOW = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture
def pki(tmp_path):
    created = Pki(tmp_path / "pki")
    created.ensure(WANTED, NOW)
    return created


def certificate(pki, name):
    return x509.load_pem_x509_certificate(pki.certificate(name).read_bytes())


def alternatives(pki, name):
    loaded = certificate(pki, name).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(entry.value) for entry in loaded}


def test_the_api_server_certificate_has_all_names(pki):
    assert alternatives(pki, "apiserver") == {
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster",
        "kubernetes.default.svc.cluster.local",
        "127.0.0.1",
        str(NODE),
        str(API),
    }


def test_every_file_is_private_to_its_owner(pki):
    assert pki.folder.stat().st_mode & 0o777 == 0o700
    for path in pki.folder.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600, path


@pytest.mark.parametrize("leaf", WANTED, ids=lambda leaf: leaf.file)
def test_every_leaf_is_issued_by_its_ca_for_its_purpose(pki, leaf):
    loaded = certificate(pki, leaf.file)
    loaded.verify_directly_issued_by(certificate(pki, leaf.root))
    [name] = loaded.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert name.value == leaf.common_name
    purposes = set(loaded.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    assert (ExtendedKeyUsageOID.SERVER_AUTH in purposes) is leaf.server
    assert (ExtendedKeyUsageOID.CLIENT_AUTH in purposes) is leaf.client
    assert loaded.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False


def test_only_admin_is_in_system_masters(pki):
    masters = [
        leaf.file
        for leaf in WANTED
        for group in certificate(pki, leaf.file).subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
        if group.value == "system:masters"
    ]
    assert masters == ["admin"]


def test_etcd_accepts_only_the_api_server(pki):
    assert {leaf.file for leaf in WANTED if leaf.root == "etcd" and leaf.client} == {
        "etcd-server",
        "apiserver-etcd",
    }
    with pytest.raises(ValueError, match="Issuer"):
        certificate(pki, "admin").verify_directly_issued_by(certificate(pki, "etcd"))


def test_a_second_call_creates_nothing(pki):
    before = {path: path.read_bytes() for path in pki.folder.iterdir()}
    assert pki.ensure(WANTED, NOW + timedelta(days=1)) == []
    assert {path: path.read_bytes() for path in pki.folder.iterdir()} == before


@settings(max_examples=15)
@given(days=st.integers(0, 5000))
def test_renewed_certificates_are_valid_long_enough(tmp_path_factory, days):
    pki = Pki(tmp_path_factory.mktemp("pki"))
    required = WANTED[:2]
    pki.ensure(required, NOW)
    later = NOW + timedelta(days=days)
    pki.ensure(required, later)
    for leaf in required:
        loaded, root = certificate(pki, leaf.file), certificate(pki, leaf.root)
        loaded.verify_directly_issued_by(root)
        assert loaded.not_valid_after_utc - later > RENEW_BEFORE
        assert loaded.not_valid_after_utc <= root.not_valid_after_utc, "a leaf must not outlive its CA"


def test_expiring_leaves_are_renewed_and_the_ca_is_kept(pki):
    root = pki.certificate("ca").read_bytes()
    created = pki.ensure(WANTED, NOW + LEAF_LIFE - RENEW_BEFORE + timedelta(hours=1))
    assert set(created) == {leaf.file for leaf in WANTED}
    assert pki.certificate("ca").read_bytes() == root


def test_a_new_ca_renews_its_leaves(pki):
    created = pki.ensure(WANTED, NOW + ROOT_LIFE - timedelta(days=30))
    assert {"ca", "etcd", "front-proxy", *(leaf.file for leaf in WANTED)} == set(created)


def test_a_new_address_renews_its_certificates(pki):
    moved = leaves("mine", IPv4Address("198.18.28.2"), API)
    assert set(pki.ensure(moved, NOW)) == {"apiserver", "kubelet-server"}


@pytest.mark.parametrize("damage", [b"", b"not a certificate"])
def test_a_damaged_or_missing_file_is_recreated(pki, damage):
    pki.certificate("admin").write_bytes(damage)
    pki.key("proxy").unlink()
    assert set(pki.ensure(WANTED, NOW)) == {"admin", "proxy"}


def test_the_service_account_key_is_never_replaced(pki):
    before = pki.key("service-account").read_bytes()
    pki.ensure(WANTED, NOW + ROOT_LIFE)
    assert pki.key("service-account").read_bytes() == before, "every token would become invalid"
