"""The wait for what was installed, as a resource of the program."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import pulumi

from infra.cluster.handle import Connection
from infra.upstream import object_store
from infra.upstream.install import readiness
from infra.upstream.install.shared_names import READY

Document = Mapping[str, Any]


class Ready(pulumi.CustomResource):
    """Exists once everything in a stage answers; what depends on it is made afterwards."""

    def __init__(
        self,
        name: str,
        *,
        documents: Iterable[Document],
        samples: Iterable[Document],
        connection: Connection,
        refused: Mapping[str, Document] | None = None,
        seconds: float = 600,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the wait.

        Args:
            name: of the resource, and of the stage in messages.
            documents: objects of the stage; another content makes the next `up` look again. Those of kinds
                that can be not ready are waited for.
            samples: objects whose creation is tried without effect afterwards: each webhook must answer.
            connection: to the cluster.
            refused: objects that a webhook must refuse, by words of its refusal.
            seconds: time limit.
            opts: as of every resource.
        """
        keep = not pulumi.runtime.is_dry_run()
        every = [*documents]
        content = hashlib.sha256(b"\n".join(sorted(map(object_store.canonical, every)))).hexdigest()
        inputs = {
            "stage": name,
            "content": content,
            "objects": [_reference(each) for each in every if readiness.judged(each["kind"])],
            "samples": [object_store.declared(each, keep=keep) for each in samples],
            **(
                {
                    "refused": {
                        words: object_store.declared(each, keep=keep) for words, each in refused.items()
                    }
                }
                if refused
                else {}
            ),
            "seconds": seconds,
            **connection.inputs,
        }
        super().__init__(READY, name, inputs, opts)


def _reference(document: Document) -> dict[str, str]:
    metadata = document["metadata"]
    return {
        "apiVersion": document["apiVersion"],
        "kind": document["kind"],
        "namespace": metadata.get("namespace", ""),
        "name": metadata["name"],
    }
