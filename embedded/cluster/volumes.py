"""Provision PersistentVolumes from folders of the instance: `python -m embedded.cluster.volumes NAME`.

Only for the embedded cluster. Rancher's local-path-provisioner is not used because it creates and removes
folders in helper pods, which need an image with a shell. This process runs on the node and creates the
folders itself.

A volume is `<data>/volumes/pvc-<uid>`, of type `local`, because the kubelet then applies a pod's fsGroup
(for `hostPath` it does not). The folder is writable by every user id, because the user of the pod is not
known; only root can access its parent folder. The size of a volume is not enforced, so a claim is resized
by changing the number. The reclaim policy Delete removes the folder before the object, so that after a
crash in between the object is still there to be deleted.
"""

import asyncio
import contextlib
import re
import shutil
import sys
from pathlib import Path
from typing import Any, Final

import httpx

from embedded.cluster.api import AsyncApi, Object
from embedded.cluster.bootstrap import PROVISIONER
from embedded.cluster.config import INSIDE
from embedded.cluster.paths import ClusterPaths
from embedded.instance import Instance
from slipway.core.errors import FailedError

CLAIMS: Final = "/api/v1/persistentvolumeclaims"
VOLUMES: Final = "/api/v1/persistentvolumes"
_CLASSES: Final = "/apis/storage.k8s.io/v1/storageclasses"
_PROVISIONED_BY: Final = "pv.kubernetes.io/provisioned-by"
_REQUESTED_FROM: Final = "volume.kubernetes.io/storage-provisioner"
_VOLUME_NAME: Final = re.compile(r"pvc-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_RESYNC_SECONDS: Final = 30.0


def needs_volume(claim: Object) -> bool:
    """Whether a claim waits for a volume from us, according to the controller manager's annotation."""
    annotations = claim["metadata"].get("annotations", {})
    return (
        annotations.get(_REQUESTED_FROM) == PROVISIONER
        and not claim["spec"].get("volumeName")
        and claim["spec"].get("volumeMode", "Filesystem") == "Filesystem"
        and "deletionTimestamp" not in claim["metadata"]
    )


def needs_resize(claim: Object, volume: Object) -> bool:
    """Whether a claim that is bound to one of our volumes requests a different size.

    The API server only accepts larger sizes.
    """
    requested = claim["spec"]["resources"]["requests"]["storage"]
    actual = (
        volume["spec"]["capacity"]["storage"],
        claim.get("status", {}).get("capacity", {}).get("storage"),
    )
    return (
        volume["metadata"].get("annotations", {}).get(_PROVISIONED_BY) == PROVISIONER
        and volume["spec"].get("claimRef", {}).get("uid") == claim["metadata"]["uid"]
        and claim.get("status", {}).get("phase") == "Bound"
        and actual != (requested, requested)
    )


def is_released(volume: Object) -> bool:
    """Whether a volume is ours, released, and has the reclaim policy Delete."""
    return (
        volume["metadata"].get("annotations", {}).get(_PROVISIONED_BY) == PROVISIONER
        and volume.get("status", {}).get("phase") in ("Released", "Failed")
        and volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete"
        and "deletionTimestamp" not in volume["metadata"]
    )


def volume_for(claim: Object, storage_class: Object, folder: Path, node_name: str) -> Object:
    """The volume for a claim, bound to it."""
    metadata = claim["metadata"]
    at_node = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node_name]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": f"pvc-{metadata['uid']}",
            "annotations": {_PROVISIONED_BY: PROVISIONER},
        },
        "spec": {
            "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
            "accessModes": claim["spec"]["accessModes"],
            "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy", "Delete"),
            "storageClassName": claim["spec"]["storageClassName"],
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": metadata["uid"],
            },
            "local": {"path": str(folder)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [at_node]}]}},
        },
    }


class Volumes:
    """The controller that creates, resizes and deletes volumes."""

    def __init__(self, api: AsyncApi, root: Path, node_name: str) -> None:
        self._api = api
        self._root = root
        self._node_name = node_name
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Reconcile at every change, and periodically."""
        async with asyncio.TaskGroup() as tasks:
            for collection in (CLAIMS, VOLUMES):
                tasks.create_task(self._watch(collection))
            while True:
                self._changed.clear()
                try:
                    await self.reconcile()
                except (FailedError, httpx.HTTPError) as error:
                    _log(f"{type(error).__name__}: {error}")
                    await asyncio.sleep(1)
                    continue
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), _RESYNC_SECONDS)

    async def reconcile(self) -> None:
        """Create requested volumes, resize them, and delete released ones, once."""
        claims = await self._list(CLAIMS)
        for claim in claims:
            if needs_volume(claim):
                await self._provision(claim)
        volumes = {volume["metadata"]["name"]: volume for volume in await self._list(VOLUMES)}
        for claim in claims:
            volume = volumes.get(claim["spec"].get("volumeName", ""))
            if volume is not None and needs_resize(claim, volume):
                await self._resize(claim, volume["metadata"]["name"])
        for name, volume in volumes.items():
            if is_released(volume):
                await self._reclaim(name)

    async def _provision(self, claim: Object) -> None:
        storage_class = await self._api.get(f"{_CLASSES}/{claim['spec']['storageClassName']}")
        if storage_class is None:
            return
        folder = self._root / f"pvc-{claim['metadata']['uid']}"
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o777)
        if await self._api.create(VOLUMES, volume_for(claim, storage_class, folder, self._node_name)):
            _log(f"created {folder.name} for {claim['metadata']['namespace']}/{claim['metadata']['name']}")

    async def _resize(self, claim: Object, volume: str) -> None:
        capacity = {"capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]}}
        namespace, name = claim["metadata"]["namespace"], claim["metadata"]["name"]
        await self._api.merge(f"{VOLUMES}/{volume}", {"spec": capacity})
        path = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{name}/status"
        await self._api.merge(path, {"status": capacity})
        _log(f"{volume} has {capacity['capacity']['storage']} for {namespace}/{name}")

    async def _reclaim(self, name: str) -> None:
        if not _VOLUME_NAME.fullmatch(name):
            _log(f"{name} has our annotation but an unexpected name; ignored")
            return
        folder = self._root / name
        if folder.is_dir():
            await asyncio.to_thread(shutil.rmtree, folder)
        await self._api.delete(f"{VOLUMES}/{name}")
        _log(f"removed {name}")

    async def _list(self, collection: str) -> list[Object]:
        answer: dict[str, Any] = await self._api.get(collection) or {}
        return list(answer.get("items", []))

    async def _watch(self, collection: str) -> None:
        """Wake the main loop at every change of a collection; restart a broken watch."""
        while True:
            try:
                listed = await self._api.get(f"{collection}?limit=1") or {}
                self._changed.set()
                async for _ in self._api.changes(collection, listed["metadata"]["resourceVersion"]):
                    self._changed.set()
            except (FailedError, httpx.HTTPError):
                await asyncio.sleep(1)


def _log(line: str) -> None:
    print(line, flush=True)


def main(name: str) -> None:
    """Serve the instance `name` until killed."""
    paths = ClusterPaths(Instance(name))
    api = AsyncApi(paths, INSIDE, "volumes")
    asyncio.run(Volumes(api, paths.volumes, paths.instance.node_name).run())


if __name__ == "__main__":
    main(sys.argv[1])
