"""Settings that can't be are refused by file and field, before anything starts."""

import pytest
from support.checkout import Checkout, checkout
from support.commands import GOOD, SECRET, StartedError

from embedded import instance
from slipway.cli import app

MALFORMED = {
    "bad YAML": ("config: [\n", "Pulumi.local.yaml:2"),
    "unknown key": (f"{GOOD}other: 1\n", "Pulumi.local.yaml: other: unknown key"),
    "unknown setting": (
        GOOD.replace("local\n", "local\n    store: {sizegib: 3}\n"),
        "Pulumi.local.yaml: slipway:platform.store.sizegib",
    ),
    "wrong type": (
        GOOD.replace("local\n", "local\n    store: {size_gib: ten}\n"),
        "Pulumi.local.yaml: slipway:platform.store.size_gib",
    ),
}


@pytest.mark.parametrize("kind", MALFORMED)
@pytest.mark.parametrize(
    "command", [["up", "local"], ["preview", "local"], ["quickstart"], ["env"]], ids=" ".join
)
def test_malformed_settings_are_refused_by_file_and_field(command, kind, project, nothing_starts, capsys):
    text, named = MALFORMED[kind]
    (project / "Pulumi.local.yaml").write_text(text)
    assert app.main(command) == 2
    printed = capsys.readouterr()
    assert named in printed.err
    assert "Preparing" not in printed.err
    assert printed.out == ""
    assert (project / "Pulumi.local.yaml").read_text() == text


@pytest.mark.parametrize("settings", [GOOD, None], ids=["initialised", "new"])
def test_a_malformed_tenant_is_refused_before_anything_starts(settings, project, nothing_starts, capsys):
    if settings:
        (project / "Pulumi.local.yaml").write_text(settings)
    (project / "tenants" / "team-b.yaml").write_text("name: team-b\nquota: {pods: many}\n")
    assert app.main(["up", "local"]) == 2
    printed = capsys.readouterr().err
    assert "tenants/team-b.yaml: quota.pods" in printed
    assert "Preparing" not in printed


def test_settings_that_can_be_go_on(project, nothing_starts):
    """The control of the refusals above: only the settings kept the command from starting."""
    (project / "Pulumi.local.yaml").write_text(GOOD)
    with pytest.raises(StartedError):
        app.main(["up", "local"])


@pytest.mark.parametrize("command", [["up", "local"], ["quickstart"], ["init", "local"]], ids=" ".join)
def test_what_an_interrupt_left_without_a_secret_goes_on(command, project, nothing_starts):
    """Stopped between writing the file and making its secret, the same command continues."""
    (project / "Pulumi.local.yaml").write_text(GOOD.replace(SECRET, ""))
    with pytest.raises(StartedError):
        app.main(command)


def test_init_takes_the_environment_a_refusal_names(project, nothing_starts, capsys):
    assert app.main(["up", "mine"]) == 2
    assert "slipway init mine --environment local" in capsys.readouterr().err
    with pytest.raises(StartedError):
        app.main(["init", "mine", "--environment", "local"])
    assert app.main(["init", "mine", "--environment", "moon"]) == 2
    assert "There is no kind of environment 'moon'" in capsys.readouterr().err


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    return checkout(tmp_path_factory.mktemp("clone"))


@pytest.mark.parametrize(("command", "kind"), [("up", "bad YAML"), ("quickstart", "wrong type")])
def test_a_refusal_leaves_no_trace_on_the_machine(command, kind, clone, tmp_path):
    """The same from outside, with nothing patched: no data, no tools, no cache."""
    text, named = MALFORMED[kind]
    (clone.path / "Pulumi.local.yaml").write_text(text)
    cache, name = tmp_path / "cache", f"slw-{instance._digest(str(clone.path))[:8]}"
    nowhere = {"SLIPWAY_CACHE": str(cache), "PATH": str(tmp_path)}  # a build would find no compiler
    done = clone.slipway(command, "local", timeout=60, env=nowhere)
    assert done.code == 2
    assert named in done.err
    assert "Traceback" not in done.err
    assert done.out == ""
    assert not cache.exists()
    assert not (instance.DATA_ROOT / name).exists()
    assert not (instance.RUN_ROOT / name).exists()
