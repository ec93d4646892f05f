"""The provider `slipway`: what a bare machine needs so that a stack can own its cluster and images.

    provider.py   the ResourceProvider service: protocol in, protocol out
    kinds.py      what `slipway:embedded:Cluster` and `slipway:embedded:Image` mean
    world.py      the cluster and its images as they are, and the processes that change them
    work.py       such a process

There is no official counterpart: on any other machine the cluster exists already, and the images come
from a registry.
"""
