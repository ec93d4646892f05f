"""A cluster of the kind CLI on this machine, with its nodes in Docker, podman or nerdctl.

facts.py          names, the configuration that kind reads
engine.py         the container tool
command.py        the command `kind`
requirements.py   what the machine must have
preflight.py      what is refused before anything is made
folder.py         the kubeconfig and the record of a cluster
cluster_kind.py, image_kind.py   the types of resources, as the provider `slipway` serves them
create.py, built_images.py   what the program declares
"""
