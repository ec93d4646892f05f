"""Options that several commands take."""

from typing import Annotated

import typer

Stack = Annotated[str, typer.Option("--stack", "-s", help="Which stack.")]
Tenant = Annotated[str, typer.Option("--tenant", "-t", help="Whose namespace.")]
