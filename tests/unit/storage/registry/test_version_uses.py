"""Why a version stays: aliases, endpoints, the log's window, the grace of young files."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from storage.registry.author import MAX_AUTHOR, author
from storage.registry.promotion_record import EarlierRecord
from storage.registry.records import HistoryEntry
from storage.registry.version_uses import Facts, Window, announced, reasons

NOW = datetime(2030, 1, 1, tzinfo=UTC)
OLD = NOW - timedelta(days=1000)
DIGESTS = ["a" * 64, "b" * 64, "c" * 64]
EMPTY = Facts({}, (), {})


def entry(number: int, digest: str, days: float) -> HistoryEntry:
    return HistoryEntry(
        tenant="team-a",
        model="iris",
        number=number,
        event="promoted",
        digest=digest,
        at=NOW - timedelta(days=days),
        token="t",
        details=EarlierRecord(),
    )


LOGS = st.lists(st.tuples(st.sampled_from(DIGESTS), st.floats(0, 400)), max_size=12).map(
    lambda found: tuple(entry(number, digest, days) for number, (digest, days) in enumerate(found, start=1))
)
WINDOWS = st.builds(Window, st.integers(0, 5), st.integers(0, 200), st.integers(1, 30))
ALIASES = st.dictionaries(st.sampled_from(["champion", "shadow"]), st.sampled_from(DIGESTS))


@given(log=LOGS, aliases=ALIASES, served=ALIASES, window=WINDOWS, age=st.floats(0, 400))
def test_a_version_goes_only_if_nothing_at_all_names_it(log, aliases, served, window, age) -> None:
    facts = Facts(aliases, log, served)
    for digest in DIGESTS:
        why = reasons(digest, NOW - timedelta(days=age), facts, window, NOW)
        last = log[-max(1, window.entries) :]
        young = [each for each in log if each.at >= NOW - timedelta(days=max(window.days, window.grace_days))]
        needed = (
            digest in aliases.values()
            or digest in served.values()
            or any(each.digest == digest for each in (*last, *young))
            or age < window.grace_days
        )
        assert bool(why) == needed


@given(log=LOGS, window=WINDOWS, more=st.sampled_from(DIGESTS), skew=st.floats(0, 10_000))
def test_a_later_announcement_is_noticed_by_any_clock(log, window, more, skew) -> None:
    before = Facts({}, log, {})
    after = Facts({}, (*log, entry(len(log) + 1, more, skew)), {})
    assert announced(more, after, before) == (f"log entry {len(log) + 1}",)
    assert announced(more, before, before) == ()
    assert announced(more, Facts({"champion": more}, log, {}), before) == ("alias champion",)
    assert announced(more, Facts({}, log, {"iris": more}), before) == ("served by iris",)


def test_the_last_entry_counts_even_where_none_is_asked_for() -> None:
    facts = Facts({}, (entry(1, DIGESTS[0], 500), entry(2, DIGESTS[1], 400)), {})
    assert reasons(DIGESTS[1], OLD, facts, Window(0, 0, 1), NOW) == ("log entry 2",)
    assert reasons(DIGESTS[0], OLD, facts, Window(0, 0, 1), NOW) == ()


def test_a_file_that_is_gone_has_no_age() -> None:
    assert reasons(DIGESTS[0], None, EMPTY, Window(), NOW) == ()
    assert reasons(DIGESTS[0], NOW, EMPTY, Window(), NOW) == ("younger than 7 days",)


def test_an_author_is_a_job_and_person_or_user_and_machine() -> None:
    github = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_REPOSITORY": "acme/ml",
        "GITHUB_RUN_ID": "7",
        "GITHUB_ACTOR": "ada",
    }
    assert author(github) == "GitHub acme/ml run 7 of ada"
    gitlab = {
        "GITLAB_CI": "true",
        "CI_PROJECT_PATH": "acme/ml",
        "CI_JOB_ID": "9",
        "GITLAB_USER_LOGIN": "bo",
    }
    assert author(gitlab) == "GitLab acme/ml job 9 of bo"
    assert author({}, lambda: "ada@laptop") == "ada@laptop"
    assert "@" in author({})
    assert author({}, lambda: "a\x1b[31m\n" + "b" * 500) == "a?[31m?" + "b" * (MAX_AUTHOR - 7)
