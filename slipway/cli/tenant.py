"""`slipway tenant`: list and show tenants, make tokens, rotate store keys."""

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
    """List the tenants that the files in tenants/ declare.

    Example:  slipway tenant list
    """
    from slipway.operations import tenants

    declared = tenants.declared()
    if context.obj["json"]:
        console.show_json(
            [
                {
                    "tenant": tenant.name,
                    "members": len(tenant.members),
                    "key_generation": tenant.key_generation,
                    "key_rotation": tenant.key_rotation,
                }
                for tenant in declared
            ]
        )
        return
    console.show_table(
        ("tenant", "members", "keys", "rotation"),
        [
            (tenant.name, len(tenant.members), tenant.key_generation, tenant.key_rotation or "-")
            for tenant in declared
        ],
    )


@app.command()
def show(context: typer.Context, name: Name, stack: Stack = "local") -> None:
    """Show a tenant's namespace, URIs and keys, and the service accounts that its users created.

    Example:  slipway tenant show team-a
    """
    from slipway.operations import tenants

    details = tenants.show(stack, name)
    outputs = details.outputs
    if context.obj["json"]:
        console.show_json(
            {
                **outputs.model_dump(),
                "key_rotation": details.rotation,
                "access_keys": list(details.access_keys),
                "service_accounts": list(details.service_accounts),
            }
        )
        return
    console.show_pairs(
        [
            ("namespace", outputs.namespace),
            ("runs", outputs.pipeline_root),
            ("models", outputs.models_uri),
            ("data", outputs.data_uri),
            ("keys", f"generation {outputs.key_generation}"),
            ("rotation", details.rotation or "none under way"),
            ("service accounts", ", ".join(details.service_accounts) or "none"),
        ],
        title=name,
    )


@app.command()
def token(
    context: typer.Context,
    name: Name,
    stack: Stack = "local",
    role: Annotated[
        AccountRole, typer.Option(help="Role of the ServiceAccount: editor or viewer.")
    ] = "editor",
    duration: Annotated[str, typer.Option("--for", help="Lifetime: 10m to 24h.")] = "1h",
    audience: Annotated[str | None, typer.Option(help="Audience; the Kubernetes API by default.")] = None,
) -> None:
    """Print a short-lived token of a tenant's ServiceAccount, for CI; it is shown once and not stored.

    Example:  slipway tenant token team-a --role editor --for 1h
    """
    from slipway.operations import tokens, workspace

    seconds = tokens.lifetime(duration)
    minted = tokens.mint(workspace.outputs(stack), name, role, seconds, audience)
    if context.obj["json"]:
        console.show_json({"token": minted.value.get_secret_value(), "ends": minted.ends.isoformat()})
        return
    console.out.print(minted.value.get_secret_value(), markup=False)
    console.err.print(f"It expires at {minted.ends:%Y-%m-%d %H:%M} UTC.", markup=False)


@app.command()
def rotate(
    context: typer.Context,
    name: Name,
    stack: Stack = "local",
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for runs that started with the old key.")
    ] = RUN_SECONDS,
) -> None:
    """Replace a tenant's store keys without an outage; continue an interrupted rotation.

    Example:  slipway tenant rotate team-a
    """
    from slipway.operations import tenant_rotation

    started = time.monotonic()
    rotation = tenant_rotation.rotate_keys(stack, name, console.phase, run_seconds=wait)
    seconds = round(time.monotonic() - started, 1)
    if context.obj["json"]:
        console.show_json(
            {
                "tenant": name,
                "key_generation": rotation.generation,
                "continued": rotation.continued,
                "service_accounts_removed": list(rotation.accounts),
                "seconds": seconds,
            }
        )
        return
    accounts = rotation.accounts
    also = f" So are {len(accounts)} service accounts: {', '.join(accounts)}." * bool(accounts)
    console.out.print(
        f"{name} has store keys of generation {rotation.generation}; "
        f"those of {rotation.generation - 1} are revoked.{also} It took {seconds:.0f} s.\n"
        "Commit its file in tenants/: an older version of it is refused.",
        markup=False,
    )
