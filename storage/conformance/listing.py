"""What a listing shows, and which names an object may have."""

from typing import Final

from storage.conformance.checking import Check, check, must
from storage.conformance.context import Context
from storage.conformance.result import Capability

KEY_BYTES: Final = 1024
"""S3's longest key."""

_COUNT: Final = 25
_PAGE: Final = 7


def _listed(context: Context, folder: str, page: int = 1000) -> list[str]:
    """Return the names below a folder of the test, page by page, in the store's order."""
    root = context.key(folder)
    pages = context.client.get_paginator("list_objects_v2").paginate(
        Bucket=context.bucket, Prefix=root, PaginationConfig={"PageSize": page}
    )
    return [entry["Key"].removeprefix(root) for answer in pages for entry in answer.get("Contents", ())]


@check(Capability.LIST_CONSISTENCY)
def writes_are_seen_at_once(context: Context) -> None:
    """After a write the object is read and listed as it is, after an overwrite and a delete too."""
    for number in range(10):
        name = f"seen/{number}"
        for body in (b"first", b"second"):
            etag = context.put(name, body)
            must(context.read(name) == body, "a read after a write gave something else")
            root = context.key(name)
            answer = context.client.list_objects_v2(Bucket=context.bucket, Prefix=root)
            listed = [entry["ETag"] for entry in answer.get("Contents", ())]
            must(listed == [etag], "a listing after a write showed another object or none")
        context.client.delete_object(Bucket=context.bucket, Key=context.key(name))
        must(_listed(context, name) == [], "a listing after a delete showed the object")


@check(Capability.LIST_CONSISTENCY)
def pages_are_whole_and_in_order(context: Context) -> None:
    """Pages together list every key once, in order of their bytes, and may start after a key."""
    names = sorted(f"{number:02}" for number in range(_COUNT))
    for name in reversed(names):
        context.put(f"pages/{name}")
    must(_listed(context, "pages/", _PAGE) == names, "the pages list other keys, or another order")
    root = context.key("pages/")
    after = context.client.list_objects_v2(
        Bucket=context.bucket, Prefix=root, StartAfter=f"{root}{names[9]}", MaxKeys=3
    )
    listed = [entry["Key"].removeprefix(root) for entry in after.get("Contents", ())]
    must(listed == names[10:13], f"a listing after a key started elsewhere: {listed}")
    must(after["IsTruncated"], "an incomplete listing says that it is complete")


@check(Capability.LIST_CONSISTENCY)
def folders_are_common_prefixes(context: Context) -> None:
    """With a delimiter a listing shows what lies directly in a folder, and each folder once."""
    for name in ("a/1", "a/2", "ab/1", "b"):
        context.put(f"folders/{name}")
    root = context.key("folders/")
    answer = context.client.list_objects_v2(Bucket=context.bucket, Prefix=root, Delimiter="/")
    folders = [entry["Prefix"].removeprefix(root) for entry in answer.get("CommonPrefixes", ())]
    objects = [entry["Key"].removeprefix(root) for entry in answer.get("Contents", ())]
    must(folders == ["a/", "ab/"], f"the folders are {folders}")
    must(objects == ["b"], f"the objects are {objects}")


_NAMES: Final = (
    "with space",
    "plus+and&and=",
    "percent%41%2F",
    "dots...and.dots",
    "quote'\"<>",
    "日本語/ключ/naïve",
    "🙂",
    "(1) [2] {3} ~ ! $ , ; @ # ^ ` |",
    "Case",
    "case",
)


@check(Capability.KEYS)
def names_come_back(context: Context) -> None:
    """An object is read, listed and deleted under exactly the name it was given."""
    for number, name in enumerate(_NAMES):
        context.put(f"names/{name}", b"object %d" % number)
    for number, name in enumerate(_NAMES):
        must(context.read(f"names/{name}") == b"object %d" % number, f"{name!r} gave another object")
    must(set(_listed(context, "names/")) == set(_NAMES), "a listing shows other names")
    for name in _NAMES:
        context.client.delete_object(Bucket=context.bucket, Key=context.key(f"names/{name}"))
    must(_listed(context, "names/") == [], "an object outlived its delete")


@check(Capability.KEYS)
def a_key_of_1024_bytes(context: Context) -> None:
    """A key may be 1024 bytes long, in parts that a file system accepts too."""
    name = _long(context, KEY_BYTES)
    context.put(name, b"far down")
    must(context.read(name) == b"far down", "it gave another object")
    must(_listed(context, "long/") == [name.removeprefix("long/")], "a listing shows another name")


def _long(context: Context, size: int) -> str:
    room = size - len(context.key("long/").encode())
    return "long/" + ("x" * 200 + "/") * (room // 201) + "y" * (room % 201)


CHECKS: Final[tuple[Check, ...]] = (
    writes_are_seen_at_once,
    pages_are_whole_and_in_order,
    folders_are_common_prefixes,
    names_come_back,
    a_key_of_1024_bytes,
)
