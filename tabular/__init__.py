"""Tabular data and the models of it: one reader, one split, one schema, one scoring.

The check on a person's machine, the steps of a pipeline, promotion and the model server all use these
modules, so that a row means the same to each of them. Nothing here knows a store or a cluster.
"""
