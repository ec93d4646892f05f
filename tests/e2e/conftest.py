"""One platform for all end-to-end tests, made the way a user makes it, taken away whatever happens."""

import signal
import time
from collections.abc import Iterator

import pytest
from support.checkout import Checkout, Finished, checkout


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    fresh = checkout(tmp_path_factory.mktemp("clone"))
    yield fresh
    gone = fresh.slipway("local", "delete", "--yes")
    assert gone.code == 0, gone.err


@pytest.fixture(scope="session")
def first_up(clone: Checkout) -> Finished:
    """`slipway quickstart local`, interrupted once on the way and then run to its end."""
    interrupted = clone.start("quickstart", "local")
    try:
        time.sleep(25)
        interrupted.send_signal(signal.SIGINT)
        interrupted.communicate(timeout=120)
    finally:
        if interrupted.poll() is None:
            interrupted.kill()
            interrupted.wait()
    done = clone.slipway("quickstart", "local", "--json")
    assert done.code == 0, f"{done.out[-2000:]}\n{done.err[-6000:]}"
    return done
