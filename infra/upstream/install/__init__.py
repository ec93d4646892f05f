"""Installs rendered objects in a cluster: the resources of the program, and what they mean in the provider.

installed_part.py    one part: its definitions, its objects, the wait until it answers
definitions.py       its definitions as one resource; definitions_kind.py, definitions_api.py: its meaning
ready_kind.py        the wait; probes.py, readiness.py: what it looks at
"""
