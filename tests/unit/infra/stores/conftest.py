"""One store on AWS for the tests that only look at what was made."""

import pytest
from support.aws_engine import AwsEngine
from support.s3_store import deploy

from infra.stores import s3


@pytest.fixture(scope="module")
def built() -> tuple[AwsEngine, s3.S3Store]:
    return deploy()


@pytest.fixture(scope="module")
def engine(built: tuple[AwsEngine, s3.S3Store]) -> AwsEngine:
    return built[0]
