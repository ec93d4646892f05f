"""A user's CSV file: refused by file and reason before anything starts, then put into the store.

The `preprocess` step checks again, on the bytes it got; this module spares the user the wait.
"""

import csv
import hashlib
import math
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError
from pydantic import BaseModel, ConfigDict

from infra.contract import PlatformOutputs
from storage.checksums import encoded_sha256
from storage.client import asking, is_missing, split_uri
from storage.errors import UsageError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MAX_BYTES: Final = 128 << 20
"""Steps hold the data in memory, several times over, within 1Gi."""
TARGET: Final = "target"
_NUMBER: Final = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")
_MISSING: Final = frozenset({"", "na", "nan", "n/a", "null", "none", "inf", "-inf", "+inf", "infinity"})
_NAMED: Final = 5
"""How many columns or classes a message names."""


class PreparedData(BaseModel):
    """A CSV file that training can take."""

    model_config = ConfigDict(frozen=True)

    path: Path
    name: str
    sha256: str
    size: int
    rows: int
    features: tuple[str, ...]
    classes: tuple[str, ...]


class StoredData(BaseModel):
    """Data in the store, as the training pipeline's parameters name it."""

    model_config = ConfigDict(frozen=True)

    uri: str
    sha256: str
    created: bool


def wisconsin(folder: Path) -> PreparedData:
    """Write the Wisconsin diagnostic data set, which scikit-learn ships, as CSV and prepare it."""
    from sklearn.datasets import load_breast_cancer  # noqa: PLC0415 - slow, and only this needs it

    bunch = load_breast_cancer(as_frame=True)
    names = [str(name) for name in bunch.target_names]
    frame = bunch.data.rename(columns=lambda name: name.replace(" ", "_"))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "wisconsin.csv"
    frame.assign(target=[names[index] for index in bunch.target]).to_csv(path, index=False)
    return prepare(path)


def prepare(path: Path) -> PreparedData:
    """Check that training can take the file.

    Raises:
        UsageError: It can't; the message names the file and the reason.
    """

    def refuse(why: str, fix: str = "") -> UsageError:
        return UsageError(f"{path} can't be trained on.", why=why, fix=fix)

    if not path.is_file():
        raise refuse("There is no such file." if not path.exists() else "It is not a file.")
    size = path.stat().st_size
    if size == 0:
        raise refuse("It is empty.")
    if size > MAX_BYTES:
        raise refuse(f"It has {size >> 20} MiB; the limit is {MAX_BYTES >> 20} MiB.")
    try:
        content = path.read_bytes()
        lines = content.decode("utf-8-sig").splitlines()
        header, rows = _table(lines)
        classes = _classes(header, rows)
        _require_numbers(header, rows)
    except OSError as error:
        raise refuse(f"It can't be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise refuse("It is not UTF-8 text.", "Save it as CSV in UTF-8.") from error
    except (csv.Error, _RefusedError) as error:
        raise refuse(str(error)) from error
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip(".-") or "data"
    return PreparedData(
        path=path,
        name=name[:80],
        sha256=hashlib.sha256(content).hexdigest(),
        size=size,
        rows=len(rows),
        features=tuple(column for column in header if column != TARGET),
        classes=classes,
    )


class _RefusedError(Exception):
    """Why a table can't be trained on."""


Row = tuple[int, list[str]]
"""Line number and cells."""


def _table(lines: list[str]) -> tuple[list[str], list[Row]]:
    reader = csv.reader(lines, strict=True)
    rows = [(reader.line_num, cells) for cells in reader if cells]
    if not rows:
        raise _RefusedError("It has no header.")
    header = rows[0][1]
    if TARGET not in header:
        raise _RefusedError(f"No column is named {TARGET!r}; there are {_some(header)}.")
    if twice := [name for name, count in Counter(header).items() if count > 1]:
        raise _RefusedError(f"Two columns are named {twice[0]!r}.")
    if len(header) == 1:
        raise _RefusedError(f"There is no feature column besides {TARGET!r}.")
    if len(rows) == 1:
        raise _RefusedError("It has a header and no rows.")
    for line, cells in rows[1:]:
        if len(cells) != len(header):
            raise _RefusedError(f"Line {line} has {len(cells)} cells, the header has {len(header)}.")
    return header, rows[1:]


def _classes(header: list[str], rows: list[Row]) -> tuple[str, ...]:
    column = header.index(TARGET)
    for line, cells in rows:
        if cells[column].strip().lower() in _MISSING:
            raise _RefusedError(f"Line {line} has no target.")
    counts = Counter(cells[column] for _, cells in rows)
    if len(counts) < 2:
        raise _RefusedError(f"The target has one class only: {next(iter(counts))!r}. It takes two or more.")
    if rare := sorted(name for name, count in counts.items() if count < 2):
        raise _RefusedError(f"Too few rows to hold one out (it takes 2) in the classes {_some(rare)}.")
    return tuple(sorted(counts))


def _require_numbers(header: list[str], rows: list[Row]) -> None:
    text: dict[str, str] = {}
    missing: dict[str, int] = {}
    for line, cells in rows:
        for name, cell in zip(header, cells, strict=True):
            if name == TARGET or name in text:
                continue
            if cell.strip().lower() in _MISSING:
                missing.setdefault(name, line)
            elif not _NUMBER.fullmatch(cell) or not math.isfinite(float(cell)):
                text[name] = f"{cell[:20]!r} in line {line}"
    if text:
        found = next(iter(text.items()))
        raise _RefusedError(
            f"Not numeric: {_some(list(text))} ({found[0]} has {found[1]}). Encode or drop them."
        )
    if missing:
        found_missing = next(iter(missing.items()))
        raise _RefusedError(
            f"Missing or infinite values in {_some(list(missing))} (first in line {found_missing[1]}). "
            "Fill them or drop the rows."
        )


def _some(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_NAMED])
    return shown + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def upload(client: "S3Client", outputs: PlatformOutputs, tenant: str, data: PreparedData) -> StoredData:
    """Put the file where the tenant's runs may read it, addressed by its digest."""
    uri = f"{outputs.tenant(tenant).data_uri}/{data.sha256}/{data.name}.csv"
    bucket, key = split_uri(uri)
    with asking(f"take {data.path.name} as {uri}"):
        try:
            if client.head_object(Bucket=bucket, Key=key)["ContentLength"] == data.size:
                return StoredData(uri=uri, sha256=data.sha256, created=False)
        except ClientError as error:
            if not is_missing(error):
                raise
        checksum = encoded_sha256(data.sha256)
        with data.path.open("rb") as file:
            client.put_object(
                Bucket=bucket, Key=key, Body=file, ChecksumSHA256=checksum, ContentType="text/csv"
            )
    return StoredData(uri=uri, sha256=data.sha256, created=True)
