import base64
import json

import pytest

from infra.upstream.credentials import known_credentials


def secret(**data):
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"kind": "Secret", "metadata": {"name": "s", "namespace": "n"}, "data": encoded}


def plain(**data):
    return {"kind": "Secret", "metadata": {"name": "s", "namespace": "n"}, "stringData": data}


def config(**data):
    return {"kind": "ConfigMap", "metadata": {"name": "c", "namespace": "n"}, "data": data}


def env(name, value):
    return container(env=[{"name": name, "value": value}])


def container(**fields):
    return {"kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "m", **fields}]}}


DEX_HASH = "$2y$12$4K/VkmDd1q1Orb3xAt82zu8gk7Ad6ReFR4LCP9UeYE90NLiN9Df72"


@pytest.mark.parametrize(
    ("document", "place"),
    [
        (secret(MYSQL_ROOT_PASSWORD="test"), "data.MYSQL_ROOT_PASSWORD"),
        (secret(accesskey="minio", other="x" * 20), "data.accesskey"),
        (secret(secretkey="minio123"), "data.secretkey"),
        (secret(password=""), "data.password"),
        (plain(hash=DEX_HASH), "stringData.hash"),
        (plain(value="admin"), "stringData.value"),
        (secret(config="storage:\n  url: mysql://root:root@db/x\n"), "data.config"),
        (config(**{"config.yaml": f"staticPasswords:\n- hash: {DEX_HASH}\n"}), "data.config.yaml"),
        (config(**{"c.json": json.dumps({"store": {"secretAccessKey": "minio123"}})}), "data.c.json"),
        (config(**{"c.json": json.dumps({"db": {"password": "root"}})}), "data.c.json.db.password"),
        (config(inner=json.dumps({"y": "db:\n  password: admin\n"})), "data.inner.y.db.password"),
        (env("MINIO_SECRET_KEY", "minio123"), "spec.containers.m.env.MINIO_SECRET_KEY.value"),
        (env("GF_SECURITY_ADMIN_PASSWORD", "prom-operator"), "spec.containers.m.env"),
        (env("DB_PASSWORD", ""), "spec.containers.m.env.DB_PASSWORD.value"),
        (env("MYSQL_ALLOW_EMPTY_PASSWORD", "true"), "spec.containers.m.env"),
        (container(args=["--password=admin"]), "spec.containers.m.args.0"),
        (container(args=["--cookie-secret", "secret"]), "spec.containers.m.args.1"),
        (container(args=["--client-secret=pUBnBOY80SnXgjibTYM9ZWNzY2xreNGQok"]), "spec.containers.m.args.0"),
        (container(command=["sh", "-c", "mc alias set x http://minio minio minio123"]), "spec.containers.m"),
    ],
)
def test_a_known_credential_is_found_wherever_it_hides(document, place):
    found = list(known_credentials(document))
    assert found
    assert found[0].place.startswith(place)
    assert found[0].reason


@pytest.mark.parametrize(
    "document",
    [
        secret(password="vT8-and-more-random-text"),
        secret(config="storage:\n  url: mysql://root:vT8and@db/x\n"),
        env("MYSQL_ALLOW_EMPTY_PASSWORD", "false"),
        env("DB_PASSWORD_FILE", "/run/secrets/password"),
        env("SECRET_NAME", "default"),
        env("MODE", "test"),
        container(args=["--user=admin", "--namespace=default"]),
        config(**{"c.json": json.dumps({"s3AccessKeyIDName": "root", "mode": "default"})}),
        {"kind": "CustomResourceDefinition", "spec": {"default": {"password": "admin"}}},
        {"kind": "Secret", "metadata": {"name": "filled-by-a-controller"}},
    ],
)
def test_what_is_no_known_credential_passes(document):
    assert list(known_credentials(document)) == []


def test_the_finding_never_repeats_the_text():
    [found] = known_credentials(plain(password="minio123-and-what-follows minio123"))
    assert "minio123" not in f"{found.place}{found.reason}"
