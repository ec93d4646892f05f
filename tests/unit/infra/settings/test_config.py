"""Settings and tenants: valid files load, and each mistake is reported with file and field."""

import asyncio
import json
import textwrap
from pathlib import Path

import pytest
from support.checkout import ROOT

from infra.rbac import MemberRole
from infra.settings import config
from infra.settings.models import DevSettings, GroupMember, LocalSettings, TenantSettings, UserMember
from slipway.core.errors import UsageError

SECRET = "slipway:secret: {secure: 'v1:abc:def'}"
GOOD = "environment: local"
KIND = "environment: kind\nkfp: {kind: embedded}"


def stack_file(folder: Path, platform: str, *, extra: str = "", secret: str = SECRET) -> Path:
    path = folder / "Pulumi.local.yaml"
    body = textwrap.indent(platform, "    ")
    path.write_text(f"encryptionsalt: v1:x\nconfig:\n  slipway:platform:\n{body}\n  {secret}\n{extra}")
    return path


def usage_error(call, *arguments) -> UsageError:
    with pytest.raises(UsageError) as caught:
        call(*arguments)
    return caught.value


def test_defaults_are_a_whole_platform(tmp_path):
    platform = config.load_file(stack_file(tmp_path, GOOD))
    assert isinstance(platform, LocalSettings)
    assert platform.store.size_gib == 10
    assert platform.store.buckets.models == "slipway-models"


@pytest.mark.parametrize(
    ("platform", "message"),
    [
        ("environment: lcoal", "slipway:platform.environment: Input tag 'lcoal' found using 'environment'"),
        ("store: {size_gib: 3}", "slipway:platform.environment: Unable to extract tag"),
        ("environment: kind", "slipway:platform: kfp.kind: missing; `embedded` is Slipway's own server"),
        (f"{KIND}\ncluster: {{name: Mine}}", "slipway:platform.cluster.name: String should match"),
        (
            f"{KIND}\ncluster: {{node_image: 'kindest/node:v1.34.11'}}",
            "slipway:platform.cluster.node_image: String should match",
        ),
        (f"{KIND}\ncluster: {{engine: lxc}}", "slipway:platform.cluster.engine: Input should be 'docker',"),
        (
            f"{KIND}\nendpoints: {{gateway: 18081}}",
            "slipway:platform.endpoints: gateway, store, console and kfp need four different ports",
        ),
        (f"{KIND}\nstore: {{kind: minio, size_gib: 0}}", "slipway:platform.store.size_gib: Input should be"),
        ("environment: prod", "slipway:platform.environment: 'prod' is not in this release."),
        (f"{GOOD}\nstore: {{sizegib: 3}}", "slipway:platform.store.sizegib: Extra inputs are not permitted"),
        (
            f"{GOOD}\nstore: {{size_gib: 0}}",
            "slipway:platform.store.size_gib: Input should be greater than or",
        ),
        (
            f"{GOOD}\nstore: {{size_gib: ten}}",
            "slipway:platform.store.size_gib: Input should be a valid integer",
        ),
        (
            f"{GOOD}\nstore: {{size_gib: '10'}}",
            "slipway:platform.store.size_gib: Input should be a valid integer",
        ),
        (
            f"{GOOD}\nstore: {{size_gib: true}}",
            "slipway:platform.store.size_gib: Input should be a valid integer",
        ),
        (f"{GOOD}\nstore: none", "slipway:platform.store: Input should be an object"),
        (f"{GOOD}\nstore: {{kind: s3}}", "slipway:platform.store.kind: Input should be 'minio'"),
        (
            f"{GOOD}\nserving: {{model_memory: lots}}",
            "slipway:platform.serving.model_memory: String should match",
        ),
        (
            f"{GOOD}\nstore: {{buckets: {{artifacts: a--x, models: same, data: same}}}}",
            "slipway:platform.store.buckets: artifacts, models and data need three different buckets",
        ),
        (
            f"{GOOD}\nstore: {{buckets: {{artifacts: Runs}}}}",
            "slipway:platform.store.buckets: 'Runs' can't name a bucket",
        ),
        ("environment: dev", "slipway:platform.images: Field required"),
        (f"{GOOD}\ncluster: {{context: x}}", "slipway:platform.cluster: Extra inputs are not permitted"),
    ],
)
def test_errors_name_file_and_field(tmp_path, platform, message):
    error = usage_error(config.load_file, stack_file(tmp_path, platform))
    assert str(error).startswith(f"Pulumi.local.yaml: {message}"), str(error)
    assert error.exit_code == 2


def test_all_mistakes_are_reported_at_once(tmp_path):
    error = usage_error(
        config.load_file, stack_file(tmp_path, f"{GOOD}\nstore: {{size_gib: 0}}\nkfp: {{x: 1}}")
    )
    assert error.what.splitlines() == [
        "Pulumi.local.yaml: slipway:platform.kfp.x: Extra inputs are not permitted",
        "Pulumi.local.yaml: slipway:platform.store.size_gib: Input should be greater than or equal to 1",
    ]


def test_a_missing_secret_names_the_command_that_creates_it(tmp_path):
    error = usage_error(config.load_file, stack_file(tmp_path, GOOD, secret="slipway:other: 1"))
    assert str(error).startswith("Pulumi.local.yaml: slipway:other: unknown setting.")
    error = usage_error(config.load_file, stack_file(tmp_path, GOOD, secret=""))
    assert error.what == "Pulumi.local.yaml: slipway:secret: missing."
    assert error.fix == "Run: slipway init local"


def test_a_secret_in_plain_text_is_rejected_and_not_shown(tmp_path):
    error = usage_error(config.load_file, stack_file(tmp_path, GOOD, secret="slipway:secret: hunter2hunter2"))
    assert error.what == "Pulumi.local.yaml: slipway:secret: is stored in plain text."
    assert "hunter2" not in str(error)


def test_error_messages_never_contain_the_value(tmp_path):
    """A password may be in the wrong field by mistake."""
    error = usage_error(config.load_file, stack_file(tmp_path, f"{GOOD}\nstore: {{region: 'PASSWORD-9'}}"))
    assert "store.region: String should match pattern" in str(error)
    assert "PASSWORD-9" not in str(error)


def test_an_invalid_stack_file_is_rejected(tmp_path):
    assert "slipway init local" in usage_error(config.load_file, tmp_path / "Pulumi.local.yaml").fix
    path = tmp_path / "Pulumi.local.yaml"
    path.write_text("confg: {}\n")
    assert usage_error(config.load_file, path).what == "Pulumi.local.yaml: confg: unknown key."
    path.write_text("config: [a]\n")
    assert usage_error(config.load_file, path).what == "Pulumi.local.yaml: config: must be a mapping."
    path.write_text(f"config:\n  {SECRET}\n")
    assert usage_error(config.load_file, path).what == "Pulumi.local.yaml: slipway:platform: missing."


def test_settings_of_other_programs_are_ignored(tmp_path):
    assert config.load_file(stack_file(tmp_path, GOOD, extra="  kubernetes:context: mine\n"))


def tenant_file(folder: Path, text: str, name: str = "team.yaml") -> Path:
    (folder / "tenants").mkdir(exist_ok=True)
    path = folder / "tenants" / name
    path.write_text(text)
    return path


def test_a_tenant_file_sets_name_and_members(tmp_path):
    tenant = config.load_tenant(
        tenant_file(
            tmp_path, "name: team-b\nmembers: [{user: a@b.org, role: editor}, {group: g, role: viewer}]\n"
        )
    )
    assert tenant.members == (
        UserMember(user="a@b.org", role=MemberRole.EDITOR),
        GroupMember(group="g", role=MemberRole.VIEWER),
    )
    assert tenant.quota.pods == 50


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: no\n", "team.yaml:1: 'no' is ambiguous"),
        ("name: true\n", "tenants/team.yaml: name: Input should be a valid string"),
        ("name: 7\n", "tenants/team.yaml: name: Input should be a valid string"),
        ("name: Team_A\n", "tenants/team.yaml: name: 'Team_A' can't name a tenant."),
        (f"name: {'a' * 41}\n", "tenants/team.yaml: name: 'aaaa"),
        ("name: kube-system\n", "tenants/team.yaml: name: 'kube-system' is a system namespace"),
        ("name: default\n", "tenants/team.yaml: name: 'default' is a system namespace"),
        ("name: kubeflow\n", "tenants/team.yaml: name: 'kubeflow' is a system namespace"),
        ("name: kserve\n", "tenants/team.yaml: name: 'kserve' is a system namespace"),
        ("name: slipway-store\n", "tenants/team.yaml: name: 'slipway-store' is a system namespace"),
        ("members: []\n", "tenants/team.yaml: name: Field required"),
        ("name: a\nmember: []\n", "tenants/team.yaml: member: Extra inputs are not permitted"),
        (
            "name: a\nmembers: [{user: x, role: owner}]\n",
            "tenants/team.yaml: members[0].role: Input should be 'admin', 'editor', 'viewer' or 'promoter'",
        ),
        (
            "name: a\nmembers: [{user: x, group: ml, role: admin}]\n",
            "tenants/team.yaml: members[0].user: Extra inputs are not permitted",
        ),
        ("name: a\nmembers: [{role: admin}]\n", "tenants/team.yaml: members[0].user: Field required"),
        (
            "name: a\nmembers: [{group: 'system:authenticated', role: admin}]\n",
            "tenants/team.yaml: members[0].group: names that begin with 'system:'",
        ),
        ("name: a\nquota: {cpu: 8}\n", "tenants/team.yaml: quota.cpu: Input should be a valid string"),
        (
            "name: a\ngates: {min_rows: 3}\n",
            "tenants/team.yaml: gates.min_rows: Extra inputs are not permitted",
        ),
        (
            "name: a\ngates: {minimums: {recall: 0.5}}\n",
            "tenants/team.yaml: gates.minimums.recall: Extra inputs",
        ),
        (
            "name: a\ngates: {minimums: {accuracy: 1.5}}\n",
            "tenants/team.yaml: gates.minimums.accuracy: Input should be less",
        ),
        ("name: a\ngates: {max_drop: -0.1}\n", "tenants/team.yaml: gates.max_drop: Input should be greater"),
        (
            "name: a\ngates: {min_held_out_rows: 0}\n",
            "tenants/team.yaml: gates.min_held_out_rows: Input should be greater",
        ),
        (
            "name: a\ngates: {compare: sometimes}\n",
            "tenants/team.yaml: gates.compare: Input should be 'always' or 'never'",
        ),
        ("name: a\nquota: {memory: 8GB}\n", "tenants/team.yaml: quota.memory: String should match"),
    ],
)
def test_tenant_errors_name_file_and_field(tmp_path, text, message):
    error = usage_error(config.load_tenant, tenant_file(tmp_path, text))
    assert str(error).startswith(message), str(error)


def test_gates_can_be_raised_but_not_lowered(tmp_path):
    text = "name: a\ngates: {minimums: {accuracy: 0.9}, max_drop: 0.01}\n"
    gates = config.load_tenant(tenant_file(tmp_path, text)).gates
    assert (gates.minimums.demanded(), gates.max_drop, gates.min_held_out_rows) == (
        {"accuracy": 0.9},
        0.01,
        10,
    )
    assert gates.at_least(0.5) == gates
    assert gates.at_least(0.95).minimums.demanded() == {"accuracy": 0.95}
    assert gates.at_least(0.95).max_drop == 0.01


def test_two_files_for_one_tenant_are_rejected(tmp_path):
    tenant_file(tmp_path, "name: team-x\n", "one.yaml")
    tenant_file(tmp_path, "name: team-x\n", "two.yaml")
    assert usage_error(config.load_tenants, tmp_path / "tenants").what == (
        "tenants/two.yaml: name: 'team-x' is already declared in tenants/one.yaml."
    )


def test_a_tenant_file_with_another_suffix_is_rejected(tmp_path):
    tenant_file(tmp_path, "name: team-x\n", "one.yml")
    assert usage_error(config.load_tenants, tmp_path / "tenants").fix == "Rename it to one.yaml."


def test_tenants_are_sorted_by_name(tmp_path):
    for file, name in (("a", "zeta"), ("b", "alpha"), ("c", "mid")):
        tenant_file(tmp_path, f"name: {name}\n", f"{file}.yaml")
    assert [tenant.name for tenant in config.load_tenants(tmp_path / "tenants")] == ["alpha", "mid", "zeta"]


def test_committed_tenants_load():
    assert "team-a" in [tenant.name for tenant in config.load_tenants(ROOT / "tenants")]


@pytest.mark.parametrize("template", sorted((ROOT / "stacks").glob("*.yaml")), ids=lambda path: path.stem)
def test_committed_stack_templates_load(tmp_path, template):
    path = tmp_path / f"Pulumi.{template.stem}.yaml"
    path.write_text(f"{template.read_text()}\n  {SECRET}\n")
    assert config.load_file(path).environment == template.stem


@pytest.mark.parametrize("name", sorted(config.schemas()))
def test_committed_schemas_are_up_to_date(name):
    assert (ROOT / "docs" / name).read_text() == config.schemas()[name], (
        "run: python -m infra.settings.config --write-schema"
    )


@pytest.mark.parametrize("model", [LocalSettings, DevSettings, TenantSettings])
def test_settings_are_immutable_and_reject_unknown_fields(model):
    def check(schema: dict) -> None:
        for name, definition in {"": schema, **schema.get("$defs", {})}.items():
            if definition.get("type") == "object":
                assert definition["additionalProperties"] is False, name

    check(model.model_json_schema())
    assert model.model_config["frozen"], model


def test_the_pulumi_program_checks_its_config_too(tmp_path, monkeypatch):
    import pulumi
    from pulumi.runtime import mocks, settings
    from support.engine import Engine

    def configure(**values: str) -> None:
        mocks.set_mocks(Engine(), project="slipway", stack="local")
        pulumi.runtime.set_all_config({f"slipway:{key}": value for key, value in values.items()})

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)  # Pulumi's Outputs need one; asyncio.run of another test leaves none
    try:
        configure(platform=json.dumps({"environment": "local"}))
        assert usage_error(config.from_pulumi, ROOT).what == "Pulumi.local.yaml: slipway:secret: missing."
        configure(platform=json.dumps({"environment": "local"}), secret="short")
        assert usage_error(config.from_pulumi, ROOT).what == "Pulumi.local.yaml: slipway:secret: too short."
        configure(platform=json.dumps({"environment": "local"}), secret="x" * 43, unknown="1")
        assert (
            usage_error(config.from_pulumi, ROOT).what
            == "Pulumi.local.yaml: slipway:unknown: unknown setting."
        )
        configure(platform=json.dumps({"environment": "local", "kfp": {"size_gib": 0}}), secret="x" * 43)
        assert "slipway:platform.kfp.size_gib" in usage_error(config.from_pulumi, ROOT).what
        configure(platform=json.dumps({"environment": "local"}), secret="x" * 43)
        assert config.from_pulumi(ROOT).stack == "local"
    finally:
        # Tasks that the mocks started on this loop must end on it; the next test uses another loop.
        while waiting := asyncio.all_tasks(loop):
            loop.run_until_complete(asyncio.gather(*waiting, return_exceptions=True))
        settings.SETTINGS.rpc_manager.clear()
        asyncio.set_event_loop(None)
        loop.close()
        pulumi.runtime.set_all_config({})
