"""PersistentVolumes from folders of the instance: `python -m embedded.cluster.volumes NAME`.

A stand-in for a storage driver, for the embedded cluster only. Why not rancher's
local-path-provisioner: it makes and removes its folders in helper pods, which need an image with a
shell; here that would be one more image to build for a `mkdir`. This process runs beside the
kubelet and makes the folder itself.

A volume is `<data>/volumes/pvc-<uid>`, of type `local` because the kubelet then applies a pod's
fsGroup (for `hostPath` it does not). The folder is open to every user id: which one a pod runs as
is unknown, and the folder above it is root's alone. A volume's size is a number that nothing
enforces, so a claim that asks for more is given the larger number. Reclaim policy Delete removes
the folder, then the object, so that a crash in between leaves an object that the next look still
sees.
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
from embedded.cluster.places import Places
from embedded.instance import Instance
from slipway.core.errors import FailedError

CLAIMS: Final = "/api/v1/persistentvolumeclaims"
VOLUMES: Final = "/api/v1/persistentvolumes"
_CLASSES: Final = "/apis/storage.k8s.io/v1/storageclasses"
_PROVISIONED_BY: Final = "pv.kubernetes.io/provisioned-by"
_WANTS: Final = "volume.kubernetes.io/storage-provisioner"
_OURS: Final = re.compile(r"pvc-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_RECHECK: Final = 30.0


def wants_volume(claim: Object) -> bool:
    """Whether a claim waits for a volume from us; the controller manager writes the annotation."""
    annotations = claim["metadata"].get("annotations", {})
    return (
        annotations.get(_WANTS) == PROVISIONER
        and not claim["spec"].get("volumeName")
        and claim["spec"].get("volumeMode", "Filesystem") == "Filesystem"
        and "deletionTimestamp" not in claim["metadata"]
    )


def wants_more(claim: Object, volume: Object) -> bool:
    """Whether a claim that has one of our volumes asks for another size than it has.

    The API server lets it ask for more only.
    """
    wanted = claim["spec"]["resources"]["requests"]["storage"]
    has = (volume["spec"]["capacity"]["storage"], claim.get("status", {}).get("capacity", {}).get("storage"))
    return (
        volume["metadata"].get("annotations", {}).get(_PROVISIONED_BY) == PROVISIONER
        and volume["spec"].get("claimRef", {}).get("uid") == claim["metadata"]["uid"]
        and claim.get("status", {}).get("phase") == "Bound"
        and has != (wanted, wanted)
    )


def is_released(volume: Object) -> bool:
    """Whether a volume is ours, no longer claimed, and to be deleted."""
    return (
        volume["metadata"].get("annotations", {}).get(_PROVISIONED_BY) == PROVISIONER
        and volume.get("status", {}).get("phase") in ("Released", "Failed")
        and volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete"
        and "deletionTimestamp" not in volume["metadata"]
    )


def volume_for(claim: Object, storage_class: Object, folder: Path, node_name: str) -> Object:
    """The volume that answers a claim, bound to it and to nothing else."""
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
    """Makes and removes volumes until what is equals what is asked for."""

    def __init__(self, api: AsyncApi, root: Path, node_name: str) -> None:
        self._api = api
        self._root = root
        self._node_name = node_name
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Look at every change, and now and then without one."""
        async with asyncio.TaskGroup() as tasks:
            for collection in (CLAIMS, VOLUMES):
                tasks.create_task(self._notice(collection))
            while True:
                self._changed.clear()
                try:
                    await self.settle()
                except (FailedError, httpx.HTTPError) as error:
                    _say(f"{type(error).__name__}: {error}")
                    await asyncio.sleep(1)
                    continue
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), _RECHECK)

    async def settle(self) -> None:
        """Make what is asked for and remove what is released, once."""
        claims = await self._list(CLAIMS)
        for claim in claims:
            if wants_volume(claim):
                await self._provision(claim)
        volumes = {volume["metadata"]["name"]: volume for volume in await self._list(VOLUMES)}
        for claim in claims:
            volume = volumes.get(claim["spec"].get("volumeName", ""))
            if volume is not None and wants_more(claim, volume):
                await self._grow(claim, volume["metadata"]["name"])
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
            _say(f"made {folder.name} for {claim['metadata']['namespace']}/{claim['metadata']['name']}")

    async def _grow(self, claim: Object, volume: str) -> None:
        capacity = {"capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]}}
        namespace, name = claim["metadata"]["namespace"], claim["metadata"]["name"]
        await self._api.merge(f"{VOLUMES}/{volume}", {"spec": capacity})
        path = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{name}/status"
        await self._api.merge(path, {"status": capacity})
        _say(f"{volume} has {capacity['capacity']['storage']} for {namespace}/{name}")

    async def _reclaim(self, name: str) -> None:
        if not _OURS.fullmatch(name):
            _say(f"{name} bears our mark but not our kind of name; left alone")
            return
        folder = self._root / name
        if folder.is_dir():
            await asyncio.to_thread(shutil.rmtree, folder)
        await self._api.delete(f"{VOLUMES}/{name}")
        _say(f"removed {name}")

    async def _list(self, collection: str) -> list[Object]:
        answer: dict[str, Any] = await self._api.get(collection) or {}
        return list(answer.get("items", []))

    async def _notice(self, collection: str) -> None:
        """Wake the main loop at every change of a collection; a broken watch is begun again."""
        while True:
            try:
                listed = await self._api.get(f"{collection}?limit=1") or {}
                self._changed.set()
                async for _ in self._api.changes(collection, listed["metadata"]["resourceVersion"]):
                    self._changed.set()
            except (FailedError, httpx.HTTPError):
                await asyncio.sleep(1)


def _say(line: str) -> None:
    print(line, flush=True)


def main(name: str) -> None:
    """Serve the instance `name` until killed."""
    places = Places(Instance(name))
    api = AsyncApi(places, INSIDE, "volumes")
    asyncio.run(Volumes(api, places.volumes, places.instance.node_name).run())


if __name__ == "__main__":
    main(sys.argv[1])
