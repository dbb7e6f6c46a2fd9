"""The checks' common ground: what a check is, comparisons with a useful message, and the table at the end."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


class CheckFailed(Exception):
    """What was found is not what had to be."""


@dataclass(frozen=True)
class Check:
    section: str
    name: str
    format: str
    body: Callable[[], None]

    @property
    def title(self) -> str:
        return f"{self.section} | {self.name} | {self.format}"


@dataclass(frozen=True)
class Outcome:
    check: Check
    seconds: float
    error: str | None


def run_check(check: Check) -> Outcome:
    begun = time.monotonic()
    error: str | None = None
    try:
        check.body()
    except CheckFailed as failure:
        error = str(failure)
    except Exception as failure:
        error = f"{type(failure).__name__}: {failure}"
        if not str(failure):
            error = traceback.format_exc()
    return Outcome(check, time.monotonic() - begun, error)


def outcome_line(outcome: Outcome) -> str:
    check = outcome.check
    verdict = "FAILED" if outcome.error else "passed"
    return f"{verdict}  {check.section:<34} {check.name:<46} {check.format:<12} {outcome.seconds:6.1f} s"


def print_summary(outcomes: Iterable[Outcome]) -> bool:
    """Prints the failures again, with their reasons, and the totals by section. True when nothing failed."""
    outcomes = list(outcomes)
    failed = [outcome for outcome in outcomes if outcome.error]
    for outcome in failed:
        print(f"\n{outcome_line(outcome)}\n    " + (outcome.error or "").strip().replace("\n", "\n    "))
    print(f"\n{'section':<34} {'passed':>7} {'failed':>7}")
    for section in dict.fromkeys(outcome.check.section for outcome in outcomes):
        of_section = [outcome for outcome in outcomes if outcome.check.section == section]
        bad = sum(1 for outcome in of_section if outcome.error)
        print(f"{section:<34} {len(of_section) - bad:>7} {bad:>7}")
    print(f"{'all':<34} {len(outcomes) - len(failed):>7} {len(failed):>7}")
    return bool(outcomes) and not failed


def expect(what: str, found: Any, wanted: Any) -> None:
    if found != wanted:
        raise CheckFailed(f"{what} is {found!r}, not {wanted!r}")


def expect_equal_arrays(what: str, found: NDArray[Any], wanted: NDArray[Any]) -> None:
    """Equal in shape and exactly equal in every value, whatever the types."""
    expect(f"shape of {what}", tuple(found.shape), tuple(wanted.shape))
    different = found != wanted
    count = int(np.count_nonzero(different))
    if count:
        first = tuple(int(index) for index in np.argwhere(different)[0])
        values = f"{found[first]} instead of {wanted[first]}"
        raise CheckFailed(f"{what} differs in {count} of {found.size} places, first at {first}: {values}")
