"""The Pulumi provider `slipway`: the protocol, without the resources that it serves.

    kinds.py      what a type of resource must answer
    protocol.py   the ResourceProvider service, over such types
    wire.py       Pulumi's wire format of properties
    serving.py    the server of a plugin, which ends together with the CLI

The types are beside what they describe: embedded/plugins/platform (the local cluster and its images) and
infra/upstream (what is installed in a cluster). `infra/plugin` puts them together.
"""
