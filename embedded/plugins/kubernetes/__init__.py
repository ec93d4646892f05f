"""A stand-in for the Kubernetes provider of Pulumi, for machines where the official one can't be had.

    provider.py      the RPC: one method per call of the engine, no decisions
    lifecycle.py     create, read, update, delete: what is asked of the cluster, in which order
    client.py        the REST client: discovery, apply, get, list, delete, changes
    diff.py, immutability.py, live.py, names.py, conflicts.py, values.py    pure
    readiness/       pure verdicts per kind, and the one loop that waits for them

What it does not support of the SDK (helm, kustomize, YAML components, Patch resources, lookups) it
refuses by name; see `tokens.py`.
"""
