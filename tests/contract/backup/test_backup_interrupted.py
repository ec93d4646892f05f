"""A backup or a restore that is cut off leaves nothing half, and the rerun goes on from there."""

import io

import pytest
from botocore.exceptions import ClientError
from support.backups import backed_up, contents, opened, promoted, restored
from support.minio import new_minio, running_minio, start_minio, stop_minio

from slipway.core.errors import StoreError
from storage.backup.check import check
from storage.backup.place import BackupPlace
from storage.registry.registry import Registry

pytestmark = pytest.mark.contract


class Deadly(io.BytesIO):
    """A body that kills the server when half of it has been read."""

    def __init__(self, content: bytes, process) -> None:
        super().__init__(content)
        self.process = process
        self.left = len(content) // 2

    def read(self, size: int | None = -1) -> bytes:
        content = super().read(size)
        self.left -= len(content)
        if self.left < 0:
            self.process.kill()
            self.process.wait()
        return content


def test_a_target_killed_in_an_upload_has_no_snapshot(store, bucket, elsewhere, tmp_path, tmp_path_factory):
    registry = Registry(store, bucket, "team-a")
    for number in range(6):
        promoted(registry, tmp_path, bytes([number]) * 3_000_000)
    data, dying = tmp_path_factory.mktemp("dying"), new_minio()
    process = start_minio(dying, data)
    try:
        client = opened(dying, retries=0)
        client.create_bucket(Bucket="backups")
        put, large = client.put_object, []

        def deadly(**arguments):
            content = arguments["Body"].read()
            arguments["Body"].seek(0)
            large.append(len(content) > 1_000_000)
            body = Deadly(content, process) if large[-1] and large.count(True) == 4 else arguments["Body"]
            return put(**arguments | {"Body": body})

        client.put_object = deadly
        with pytest.raises(StoreError, match="in the backup store") as caught:
            backed_up(store, bucket, BackupPlace.at(client, "s3://backups"))
        assert process.poll() is not None, "it was killed"
        assert caught.value.cause in ("cut", "unreachable")
        client.close()
    finally:
        stop_minio(process)
    with running_minio(data) as back:
        client = opened(back)
        place = BackupPlace.at(client, "s3://backups")
        there = len(place.pooled())
        assert place.snapshots() == [], "no index of a torn snapshot"
        taken = backed_up(store, bucket, place)
        blobs = len(taken.index.blobs())
        assert taken.index.complete
        assert 0 < there < blobs
        assert taken.uploaded == blobs - there, "what had arrived is not sent again"
        assert check(place, taken.index) == []
        [outcome] = restored(store, elsewhere, place, taken)
        assert outcome.verified
        client.close()


def test_a_restore_that_was_cut_off_goes_on(source, store, bucket, elsewhere, place, tmp_path):
    registry = Registry(store, bucket, "team-a")
    for number in range(3):
        promoted(registry, tmp_path, bytes([number]) * 1000)
    taken = backed_up(store, bucket, place)
    for cut in (0, 1, 4, 8, 10, 12):
        client = opened(source)
        put, left = client.put_object, [cut]

        def full(*, put=put, left=left, **arguments):
            left[0] -= 1
            if left[0] < 0:
                raise ClientError({"Error": {"Code": "XMinioStorageFull"}}, "PutObject")
            return put(**arguments)

        client.put_object = full
        emptied(store, elsewhere)
        with pytest.raises(StoreError, match="out of space"):
            restored(client, elsewhere, place, taken)
        client.close()
        copy = Registry(store, elsewhere, "team-a")
        assert copy.read_alias("iris", "champion") is None, "it comes last"
        for digest in copy.list_versions("iris"):
            copy.verify("iris", digest)
        numbers = [entry.number for entry in copy.history("iris")]
        assert numbers == list(range(1, len(numbers) + 1))
        [outcome] = restored(store, elsewhere, place, taken)
        assert (outcome.outcome, outcome.verified) == ("restored", True)
        assert contents(store, elsewhere) == contents(store, bucket)


def emptied(client, bucket):
    for key in contents(client, bucket):
        client.delete_object(Bucket=bucket, Key=key)
