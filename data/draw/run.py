"""All radiographs of a data set, in several processes; a run that was stopped goes on where it was."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from data.base.errors import DataError, UserError
from data.base.processes import ProcessDiedError, available_cores, in_processes
from data.draw.naming import Named, name_records
from data.draw.options import DrawConfig
from data.draw.output import (
    Row,
    finished,
    open_output,
    stamp_of,
    write_finished,
    write_manifest,
    write_pair,
    write_skipped,
)
from data.draw.pairs import DrawnPair, draw_pair, draw_scenarios, find_chest
from data.files.images import read_radiograph
from data.manifests.folders import images_in_folder
from data.manifests.manifest import images_in_manifest


@dataclass(kw_only=True)
class Outcome:
    """What a run has come to."""

    manifest: Path
    images: int = 0
    """Radiographs that pairs were made of."""
    pairs: int = 0
    skipped: list[str] = field(default_factory=list)
    """One line for each radiograph that was left out, naming it and the reason."""


def draw(config: DrawConfig, *, progress: bool = True) -> Outcome:
    """Make the data set.

    Raises:
        DataError: the source or the folder is not what it should be or cannot be written to, or nothing in it
            can be drawn into; with `on_error="raise"`, the first radiograph that cannot be read, shows no two
            lung fields or leaves no room for a finding.
    """
    films = _find(config)
    open_output(config)
    outcome = Outcome(manifest=config.out / "manifest.csv")
    missing = [film for film in films if _rows(film, config) is None]
    with closing(_draw_missing(missing, config, progress, done=len(films) - len(missing))) as reasons:
        for reason in reasons:
            if config.on_error == "raise":
                raise DataError(reason)
            outcome.skipped.append(reason)
    write_skipped(config.out, outcome.skipped)
    rows: list[Row] = []
    for film in films:
        found = _rows(film, config) or []
        outcome.images += bool(found)
        rows += [{**row, "patient_id": film.patient_id, "split": film.record.split or ""} for row in found]
    if not rows:
        raise DataError(f"{config.images} has no image that can be drawn into; {outcome.skipped[0]}")
    outcome.pairs = len(rows)
    write_manifest(config.out, rows, with_split=any(row["split"] for row in rows))
    return outcome


def _find(config: DrawConfig) -> list[Named]:
    try:
        if not config.images.is_dir():
            # A run that skips unreadable files skips missing ones, too.
            records = images_in_manifest(config.images, check_files=config.on_error == "raise")
            return list(name_records(records, from_manifest=True))
        if config.out.resolve().is_relative_to(config.images.resolve()):
            raise DataError(
                f"{config.out} lies in {config.images}, whose images are drawn into; name another folder"
            )
        return list(name_records(images_in_folder(config.images), from_manifest=False))
    except OSError as error:
        place = error.filename or config.images
        raise DataError(f"{place} cannot be opened ({error.strerror}); check its permissions") from error


def _rows(film: Named, config: DrawConfig) -> list[Row] | None:
    return finished(config.out, film.key, film.record.image, config.pairs_per_image)


def _draw_missing(
    films: Sequence[Named], config: DrawConfig, progress: bool, done: int
) -> Generator[str, None, None]:
    """Draw into some radiographs; the reasons why some could not be."""
    from tqdm import tqdm

    run = partial(draw_image, config=config)
    with tqdm(
        total=done + len(films), initial=done, desc="drawing", unit="image", disable=not progress
    ) as bar:
        try:
            for _, reason in in_processes(run, films, workers=config.workers or available_cores()):
                bar.update()
                if reason is not None:
                    yield reason
        except ProcessDiedError as error:
            raise UserError(
                "a drawing process died, most likely because memory ran out; take fewer --workers or a "
                "smaller --image-size, and the same command goes on from there"
            ) from error


def draw_image(film: Named, config: DrawConfig) -> str | None:
    """Make and write the pairs of one radiograph; the reason in one line if it cannot be drawn into.

    Raises:
        DataError: the pairs cannot be written, which is no fault of the radiograph.
    """
    pairs = _pairs_of(film, config)
    stamp = stamp_of(film.record.image)
    rows: list[Row] = []
    while True:
        try:
            pair = next(pairs, None)
        except DataError as error:
            return str(error)
        if pair is None:
            break
        rows.append(write_pair(config.out, f"{film.key}-{len(rows):03d}", pair, config.change))
    write_finished(config.out, film.key, stamp, rows)
    return None


def _pairs_of(film: Named, config: DrawConfig) -> Iterator[DrawnPair]:
    record = film.record
    source = find_chest(read_radiograph(record.image, config.intensity), record.id, record.image, config)
    for number, scenario in enumerate(draw_scenarios(record.id, config)):
        yield draw_pair(source, scenario, number, config)
