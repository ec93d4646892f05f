"""What an interrupted multipart upload leaves is removed by MinIO itself, as its settings say."""

import os

import pytest
from botocore.exceptions import ClientError
from support.minio import new_minio, start_minio, stop_minio
from support.waiting import eventually

pytestmark = pytest.mark.contract


def _parts(data) -> list[str]:
    folder = data / "objects" / ".minio.sys" / "multipart"
    return [name for _, _, names in os.walk(folder) for name in names]


def test_an_incomplete_upload_alone_is_removed(tmp_path):
    server = new_minio()
    process = start_minio(server, tmp_path)
    try:
        client = server.client()
        client.create_bucket(Bucket="models")
        client.put_object(Bucket="models", Key="whole", Body=b"kept")
        upload = client.create_multipart_upload(Bucket="models", Key="torn")["UploadId"]
        part = {"Bucket": "models", "Key": "torn", "UploadId": upload}
        client.upload_part(**part, PartNumber=1, Body=b"x" * (5 << 20))
        assert _parts(tmp_path), "the control: the part is on the disk"
        stop_minio(process)
        assert _parts(tmp_path), "the control: by default it stays"
        process = start_minio(
            server,
            tmp_path,
            MINIO_API_STALE_UPLOADS_EXPIRY="1s",
            MINIO_API_STALE_UPLOADS_CLEANUP_INTERVAL="1s",
        )
        eventually(lambda: not _parts(tmp_path))
        with pytest.raises(ClientError) as gone:
            client.list_parts(**part)
        assert gone.value.response["Error"]["Code"] == "NoSuchUpload"
        assert server.keys("models") == ["whole"]
    finally:
        stop_minio(process)


def test_minio_refuses_a_lifecycle_rule_for_it(tmp_path):
    """Why it is a setting of the server: once a release takes the rule, the setting can go."""
    server = new_minio()
    process = start_minio(server, tmp_path)
    try:
        client = server.client()
        client.create_bucket(Bucket="models")
        rule = {
            "ID": "torn",
            "Status": "Enabled",
            "Filter": {"Prefix": ""},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
        }
        with pytest.raises(ClientError) as refused:
            client.put_bucket_lifecycle_configuration(
                Bucket="models", LifecycleConfiguration={"Rules": [rule]}
            )
        assert refused.value.response["Error"]["Code"] == "InvalidArgument"
    finally:
        stop_minio(process)
