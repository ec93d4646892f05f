"""`slipway tenant`: who is there, what of the store they hold, and new keys for them."""

import time
from typing import Annotated

import typer

from slipway.cli import console
from slipway.cli.options import Stack
from slipway.operations.choices import RUN_SECONDS, AccountRole

Name = Annotated[str, typer.Argument(help="Tenant, for example team-a.")]

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Tenants: list, show, make tokens, rotate their store keys.\n\nExample:  slipway tenant list",
)


@app.command("list")
def list_command(context: typer.Context) -> None:
    """List the tenants that the files of tenants/ declare.

    Example:  slipway tenant list
    """
    from slipway.operations import tenants

    found = tenants.declared()
    if context.obj["json"]:
        console.show_json(
            [
                {
                    "tenant": tenant.name,
                    "members": len(tenant.members),
                    "key_generation": tenant.key_generation,
                    "key_rotation": tenant.key_rotation,
                }
                for tenant in found
            ]
        )
        return
    console.show_table(
        ("tenant", "members", "keys", "rotation"),
        [
            (tenant.name, len(tenant.members), tenant.key_generation, tenant.key_rotation or "-")
            for tenant in found
        ],
    )


@app.command()
def show(context: typer.Context, name: Name, stack: Stack = "local") -> None:
    """Show a tenant's places and keys, and the service accounts that its users made for themselves.

    Example:  slipway tenant show team-a
    """
    from slipway.operations import tenants

    found = tenants.show(stack, name)
    place = found.outputs
    if context.obj["json"]:
        console.show_json(
            {
                **place.model_dump(),
                "key_rotation": found.rotation,
                "access_keys": list(found.access_keys),
                "service_accounts": list(found.service_accounts),
            }
        )
        return
    console.show_pairs(
        [
            ("namespace", place.namespace),
            ("runs", place.pipeline_root),
            ("models", place.models_uri),
            ("data", place.data_uri),
            ("keys", f"generation {place.key_generation}"),
            ("rotation", found.rotation or "none under way"),
            ("service accounts", ", ".join(found.service_accounts) or "none"),
        ],
        title=name,
    )


@app.command()
def token(
    context: typer.Context,
    name: Name,
    stack: Stack = "local",
    role: Annotated[
        AccountRole, typer.Option(help="Whose account: the editor's or the viewer's.")
    ] = "editor",
    duration: Annotated[str, typer.Option("--for", help="How long it lives: 10m to 24h.")] = "1h",
    audience: Annotated[
        str | None, typer.Option(help="Who is to accept it; the Kubernetes API where absent.")
    ] = None,
) -> None:
    """Print a short-lived token of a tenant's ServiceAccount, for CI; it is shown once and kept nowhere.

    Example:  slipway tenant token team-a --role editor --for 1h
    """
    from slipway.operations import tokens, workspace

    seconds = tokens.lifetime(duration)
    made = tokens.mint(workspace.outputs(stack), name, role, seconds, audience)
    if context.obj["json"]:
        console.show_json({"token": made.value.get_secret_value(), "ends": made.ends.isoformat()})
        return
    console.out.print(made.value.get_secret_value(), markup=False)
    console.err.print(f"It ends at {made.ends:%Y-%m-%d %H:%M} UTC.", markup=False)


@app.command()
def rotate(
    context: typer.Context,
    name: Name,
    stack: Stack = "local",
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for runs that began with the old key.")
    ] = RUN_SECONDS,
) -> None:
    """Replace a tenant's store keys without an outage; go on where an earlier call was stopped.

    Example:  slipway tenant rotate team-a
    """
    from slipway.operations import tenant_rotation

    begun = time.monotonic()
    done = tenant_rotation.rotate_keys(stack, name, console.phase, run_seconds=wait)
    seconds = round(time.monotonic() - begun, 1)
    if context.obj["json"]:
        console.show_json(
            {
                "tenant": name,
                "key_generation": done.generation,
                "continued": done.continued,
                "service_accounts_removed": list(done.accounts),
                "seconds": seconds,
            }
        )
        return
    also = f" So are {len(done.accounts)} service accounts: {', '.join(done.accounts)}." * bool(done.accounts)
    console.out.print(
        f"{name} has store keys of generation {done.generation}; those of {done.generation - 1} are dead."
        f"{also} It took {seconds:.0f} s.\nCommit its file in tenants/: a file put back is refused.",
        markup=False,
    )
