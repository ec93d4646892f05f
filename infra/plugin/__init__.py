"""The plugin of the provider `slipway`: `python -m infra.plugin <engine address>`, started by the CLI."""
