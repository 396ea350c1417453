"""Numbers of a split that may be of several sources: those of each of them, and their means."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from gan.run.log import RunLog

Judge = Callable[[Iterable[Any]], Mapping[str, Any]]
SOURCES = "sources"


def judge_sources(judge: Judge, splits: Mapping[str, Iterable[Any]], log: RunLog) -> dict[str, Any]:
    """The numbers of a split, source by source; every process calls this.

    Args:
        judge: what makes numbers of batches.
        splits: the batches of each source by its name.
        log: what is told of unreadable samples.

    Returns:
        As `of_sources`.
    """
    return of_sources({name: judge(log.watch(batches)) for name, batches in splits.items()})


def of_sources(numbers: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The numbers of the only source; or of several `sources`, those of each by its name, beside their means.

    The means are over the sources that have a number (of what is counted, sums), and every source counts
    alike.
    """
    if len(numbers) == 1:
        return dict(*numbers.values())
    return {**mean_numbers(list(numbers.values())), SOURCES: numbers}


def mean_numbers(reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The mean of each number over the reports that have it, also of those within; sums of integers."""
    names = dict.fromkeys(name for report in reports for name in report)
    values = {name: [report[name] for report in reports if name in report] for name in names}
    return {name: _mean(found) for name, found in values.items() if not isinstance(found[0], str | list)}


def _mean(values: Sequence[Any]) -> Any:
    known = [value for value in values if value is not None]
    if not known:
        return None
    if isinstance(known[0], Mapping):
        return mean_numbers(known)
    total = sum(known)
    return total if isinstance(total, int) else total / len(known)


def say_sources(
    log: RunLog, numbers: Mapping[str, Any], describe: Callable[[Mapping[str, Any]], str]
) -> None:
    """Say numbers that `judge_sources` made: in full for each source, and the means in one line."""
    if SOURCES not in numbers:
        log.say(f"\n{describe(numbers)}")
        return
    for name, report in numbers[SOURCES].items():
        log.say(f"\n{name}: {describe(report)}")
    log.say(f"\nmean over the sources: {line_of(numbers)}")


def line_of(numbers: Mapping[str, Any]) -> str:
    """Numbers in one line, those within left out."""
    return ", ".join(f"{name} {value:.4g}" for name, value in numbers.items() if isinstance(value, float))
