"""Entry of the image `storage-initializer`: what KServe calls with a source and a folder."""

import sys


def main() -> int:
    """Download `argv[1]` into the folder `argv[2]`."""
    from kserve_storage import Storage, configure_logging  # noqa: PLC0415  # the image's package, not ours

    if len(sys.argv) != 3:
        sys.stderr.write("usage: storage_initializer SOURCE FOLDER\n")
        return 2
    configure_logging()
    Storage.download(sys.argv[1], sys.argv[2])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
