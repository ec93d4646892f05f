"""A MinIO that is killed without warning and comes back with the same key and drive."""

import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from support.minio import Minio, new_minio, start_minio, stop_minio
from support.server import Process


class MortalMinio:
    """Its address, its folder, and its process while it runs."""

    def __init__(self, data: Path, **environment: str) -> None:
        self.server = new_minio()
        self.data = data
        self._environment = environment
        self._process: Process | None = None

    def start(self) -> Minio:
        assert self._process is None, "it runs already"
        self._process = start_minio(self.server, self.data, **self._environment)
        return self.server

    def kill(self) -> None:
        """SIGKILL: nothing is flushed, nothing is answered."""
        assert self._process is not None, "it does not run"
        self._process.send_signal(signal.SIGKILL)
        assert self._process.wait(10) == -signal.SIGKILL
        self._process = None

    def stop(self) -> None:
        if self._process is not None:
            stop_minio(self._process)
            self._process = None


@contextmanager
def mortal_minio(data: Path, buckets: Iterable[str] = (), **environment: str) -> Iterator[MortalMinio]:
    """Run a MinIO with these buckets, which may be killed and started again; it is gone at the end."""
    data.mkdir(exist_ok=True)
    minio = MortalMinio(data, **environment)
    minio.start()
    try:
        for bucket in buckets:
            minio.server.client().create_bucket(Bucket=bucket)
        yield minio
    finally:
        minio.stop()
