"""The resources of the provider `slipway` that make the local cluster and its images.

    kinds.py      what `slipway:embedded:Cluster` and `slipway:embedded:Image` mean
    world.py      the cluster and its images as they are, and the processes that change them
    work.py       such a process

There is no official counterpart: on any other machine the cluster exists already, and the images come
from a registry.
"""
