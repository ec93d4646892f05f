"""Installs rendered objects in a cluster: the resources of the program, and what they mean in the provider.

installation.py    parts, stage after stage; bundled.py: those of the bundle
definitions.py     a part's definitions as one resource; definitions_kind.py, definitions_api.py: its meaning
ready.py           the wait after a stage; ready_kind.py, probes.py, readiness.py: what it looks at
"""
