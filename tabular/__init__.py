"""Tabular data and its models: reading, splitting, schema and scoring.

The local check, the pipeline steps, promotion and the model server share these modules, so all of them
interpret a row in the same way. Nothing here depends on a store or a cluster.
"""
