"""The program that fetches a model: it asks nothing that a tenant's role on AWS may not ask."""

import subprocess
import sys

from infra.components.kserve.objects import storage_container

STAND_IN = """
import sys, types
module = types.ModuleType("kserve_storage")
module.configure_logging = lambda: None
class Storage:
    @staticmethod
    def download(source, folder):
        import boto3, botocore.config
        once = botocore.config.Config(connect_timeout=1, retries={"max_attempts": 0})
        s3 = boto3.resource("s3", endpoint_url="http://127.0.0.1:9", region_name="x",
                            aws_access_key_id="a", aws_secret_access_key="b", config=once)
        s3.meta.client.head_bucket(Bucket="models")
        print("head", source, folder)
        try:
            list(s3.Bucket("models").objects.filter(Prefix=source))
        except Exception as error:
            print(type(error).__name__)
module.Storage = Storage
sys.modules["kserve_storage"] = module
"""


def test_the_buckets_head_is_not_asked_for_and_all_else_is() -> None:
    command = storage_container("image")["container"]["command"]
    assert command[:2] == ["python3", "-c"]
    found = subprocess.run(
        [sys.executable, "-c", STAND_IN + command[2], "team-a/m", "/folder"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.splitlines() == ["head team-a/m /folder", "EndpointConnectionError"]
