"""The smoke check: does the endpoint answer held-out rows as the evaluated model did?"""

import time
from collections.abc import Callable, Sequence
from typing import Final

from pydantic import BaseModel, ConfigDict

from serving.predict import NotAnsweringError
from storage.candidate import Candidate
from storage.errors import FailedError
from storage.report import Report

ANSWER_SECONDS: Final = 30.0
"""From Ready to an answer through Service and gateway; measured in tenths of a second when idle."""
RETRY_SECONDS: Final = 0.5

Ask = Callable[[str, Sequence[Sequence[float]]], list[int]]


class SmokeCheck(BaseModel):
    """What the endpoint answered to held-out rows."""

    model_config = ConfigDict(frozen=True)

    rows: int
    agreed: int
    accuracy: float


def check(ask: Ask, url: str, candidate: Candidate, report: Report, within: float) -> SmokeCheck:
    """Ask for held-out rows until the endpoint answers as evaluation did.

    For a moment after Ready the gateway may still reach the old pod, so a difference is
    believed only if it stays.

    Raises:
        NotAnsweringError: It gave no answer `within` so many seconds.
        FailedError: It answered something else.
    """
    if not candidate.samples:
        raise FailedError("The candidate brings no held-out rows to check its endpoint with.")
    begun = time.monotonic()
    rows = [sample.features for sample in candidate.samples]
    expected = [sample.prediction for sample in candidate.samples]
    while True:
        late = time.monotonic() - begun > within
        try:
            answers = ask(url, rows)
        except NotAnsweringError:
            if late:
                raise
        else:
            if answers == expected:
                break
            if late:
                wrong = sum(a != e for a, e in zip(answers, expected, strict=True))
                raise FailedError(
                    "The endpoint does not answer as the evaluated model did.",
                    why=f"{wrong} of {len(rows)} held-out rows differ.",
                )
        time.sleep(RETRY_SECONDS)
    right = sum(a == sample.label for a, sample in zip(answers, candidate.samples, strict=True))
    report(f"{len(rows)} held-out rows answered as evaluated, {right} of them right")
    return SmokeCheck(rows=len(rows), agreed=len(rows), accuracy=right / len(rows))
