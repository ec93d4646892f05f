"""The program that fetches a model: it asks nothing that a tenant's role on AWS may not ask."""

import os
import subprocess
import sys
from pathlib import Path

from embedded.images.catalog import RECIPES
from embedded.images.code import ProgramLayer
from embedded.images.programs import storage_initializer
from infra.components.kserve.objects import STORAGE_INITIALIZER, storage_container

STAND_IN = """
def configure_logging():
    print("logging")

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
"""


def test_the_buckets_head_is_not_asked_for_and_all_else_is(tmp_path: Path) -> None:
    (tmp_path / "kserve_storage.py").write_text(STAND_IN)
    done = subprocess.run(
        [sys.executable, storage_initializer.__file__, "team-a/m", "/folder"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["logging", "head team-a/m /folder", "EndpointConnectionError"]


def test_another_number_of_arguments_is_refused(capsys) -> None:
    assert storage_initializer.main(["s3://models/team-a"]) == 2
    assert capsys.readouterr().err == "usage: storage_initializer.py SOURCE FOLDER\n"


def test_pods_start_the_program_that_the_image_has() -> None:
    program = ProgramLayer("storage_initializer")
    assert f"/{program.path}" == STORAGE_INITIALIZER
    assert program in RECIPES["model-server"]().layers
    assert storage_container("image")["container"]["command"] == ["python3", STORAGE_INITIALIZER]
