"""Rotation as a state machine: killed anywhere and rerun, it ends with one valid generation.

The model checks its invariants at every moment: the Secrets, the predictors and the runs each use a
generation, and the store knows some. A step may be killed before, during or after its effect.
"""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.core.errors import FailedError
from storage.rotation import KeyState, Phase, Rotated, rotate
from storage.settings import StoreTenant


class KilledError(Exception):
    """The process was killed."""


@dataclass
class World:
    """A file, a store, Secrets, predictors and runs."""

    file: KeyState = field(default_factory=lambda: KeyState(1))
    known: set[int] = field(default_factory=lambda: {1})
    secrets: int = 1
    predictors: list[int] = field(default_factory=lambda: [1, 1])
    runs: list[int] = field(default_factory=lambda: [1])
    own: dict[str, int] = field(default_factory=lambda: {"mine": 1})
    """Service accounts that users created, and the generation of these users."""

    moments_left: int = 10_000
    proven_dead: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)

    def moment(self) -> None:
        """Check the invariants, then possibly kill the process."""
        used = {self.secrets, *self.predictors, *self.runs}
        assert used <= self.known, f"{used} are used, the store knows {self.known}"
        self.moments_left -= 1
        if self.moments_left < 0:
            raise KilledError

    def state(self) -> KeyState:
        self.moment()
        return self.file

    def record(self, before: KeyState, after: KeyState) -> None:
        self.moment()
        assert self.file == before
        self.file = after
        self.moment()

    def bring_up(self) -> None:
        """Update the store first, then the Secrets, like the Pulumi program."""
        tenant = StoreTenant(
            name="team-a",
            key_generation=self.file.generation,
            former_keys=self.file.phase is Phase.OVERLAP,
        )
        self.moment()
        for generation in tenant.generations:
            self.known.add(generation)
            self.moment()
        for generation in sorted(self.known - set(tenant.generations)):
            self.own = {name: maker for name, maker in self.own.items() if maker != generation}
            self.moment()
            self.known.discard(generation)
            self.moment()
        self.secrets = tenant.key_generation
        self.moment()

    def move(self, state: KeyState) -> None:
        assert self.secrets == state.generation
        for number in range(len(self.predictors)):
            self.moment()
            self.predictors[number] = self.secrets
        self.moment()
        self.runs = [self.secrets]
        self.moment()

    def verify_valid(self, generation: int) -> None:
        self.moment()
        assert generation in self.known

    def accounts(self, generation: int) -> tuple[str, ...]:
        self.moment()
        return tuple(name for name, maker in self.own.items() if maker == generation)

    def verify_revoked(self, generation: int, accounts: tuple[str, ...]) -> None:
        self.moment()
        assert generation not in self.known
        assert not set(accounts) & set(self.own)
        self.proven_dead.append((generation, accounts))


def run_until_done(world: World, kills: list[int]) -> Rotated:
    """Rerun after each kill; the last call is not killed."""
    for moments in kills:
        world.moments_left = moments
        try:
            return rotate(world)
        except KilledError:
            continue
    world.moments_left = 10_000
    return rotate(world)


@given(st.lists(st.integers(0, 30), max_size=8))
def test_a_rerun_after_any_kill_leaves_one_valid_generation(kills: list[int]) -> None:
    world = World()
    done = run_until_done(world, kills)
    # A call that was killed after its last write had finished; the next one started a new rotation.
    assert world.file == KeyState(done.generation)
    assert world.known == {done.generation}
    assert {world.secrets, *world.predictors, *world.runs} == {done.generation}
    assert "mine" not in world.own
    assert [generation for generation, _ in world.proven_dead][-1] == done.generation - 1


def moments_of_a_rotation() -> int:
    world = World()
    rotate(world)
    return 10_000 - world.moments_left


@pytest.mark.parametrize("moment", range(moments_of_a_rotation()))
def test_one_kill_needs_one_rerun_and_no_extra_generation(moment: int) -> None:
    world = World(moments_left=moment)
    with pytest.raises(KilledError):
        rotate(world)
    ended = world.file == KeyState(2)
    world.moments_left = 10_000
    done = rotate(world)
    assert done.generation == (3 if ended else 2)
    assert world.known == {done.generation}


def test_the_result_says_continued_and_revoked_accounts() -> None:
    world, lines = World(), []
    assert rotate(world, lines.append) == Rotated(2, continued=False, accounts=("mine",))
    assert lines[0] == "beginning: generation 2 in addition to 1"
    world = World(file=KeyState(2, Phase.OVERLAP))
    assert rotate(world, lines.append).continued
    assert lines[-1] == "continuing: generation 2, overlap"


def test_a_key_in_use_stays_valid() -> None:
    class Stuck(World):
        def move(self, state: KeyState) -> None:
            raise FailedError("A predictor did not come up.")

    world = Stuck()
    for _ in range(2):
        with pytest.raises(FailedError):
            rotate(world)
        assert (world.file, world.known) == (KeyState(2, Phase.OVERLAP), {1, 2})


def test_both_generations_are_valid_only_during_overlap() -> None:
    assert StoreTenant(name="a", key_generation=3, former_keys=True).generations == (3, 2)
    assert StoreTenant(name="a", key_generation=3).generations == (3,)
    assert StoreTenant(name="a", former_keys=True).generations == (1,)
