"""All radiographs of a data set, in several processes; a run that was stopped goes on where it was."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from data.drawing.config import DrawConfig
from data.drawing.output import Row, finished, open_output, write_manifest, write_pairs, write_skipped
from data.drawing.pairs import draw_pair, draw_scenarios, find_chest
from data.errors import DataError, UserError
from data.files.images import read_radiograph
from data.parallel import ProcessDiedError, available_cores, in_processes
from data.tables.folders import images_in_folder
from data.tables.manifest import images_in_manifest
from data.tables.records import ImageRecord


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
        DataError: the source or the folder is not what it should be, or nothing in it can be drawn into; with
            `on_error="raise"`, the first radiograph that cannot be read or shows no two lung fields.
    """
    records = _find(config)
    open_output(config)
    outcome = Outcome(manifest=config.out / "manifest.csv")
    missing = [record for record in records if _rows(record, config) is None]
    with closing(_draw_missing(missing, config, progress, done=len(records) - len(missing))) as reasons:
        for reason in reasons:
            if config.on_error == "raise":
                raise DataError(reason)
            outcome.skipped.append(reason)
    write_skipped(config.out, outcome.skipped)
    rows: list[Row] = []
    for record in records:
        found = _rows(record, config) or []
        outcome.images += bool(found)
        rows += [{**row, "patient_id": record.patient_id, "split": record.split or ""} for row in found]
    if not rows:
        raise DataError(f"{config.images} has no image that can be drawn into; {outcome.skipped[0]}")
    outcome.pairs = len(rows)
    write_manifest(config.out, rows, with_split=any(row["split"] for row in rows))
    return outcome


def _find(config: DrawConfig) -> Sequence[ImageRecord]:
    if not config.images.is_dir():
        # A run that skips unreadable files skips missing ones, too.
        return images_in_manifest(config.images, check_files=config.on_error == "raise")
    if config.out.resolve().is_relative_to(config.images.resolve()):
        raise DataError(
            f"{config.out} lies in {config.images}, whose images are drawn into; name another folder"
        )
    return images_in_folder(config.images)


def _rows(record: ImageRecord, config: DrawConfig) -> list[Row] | None:
    return finished(config.out, record.id, record.image, config.pairs_per_image)


def _draw_missing(
    records: Sequence[ImageRecord], config: DrawConfig, progress: bool, done: int
) -> Generator[str, None, None]:
    """Draw into some radiographs; the reasons why some could not be."""
    from tqdm import tqdm

    tasks = [(record, config) for record in records]
    with tqdm(
        total=done + len(records), initial=done, desc="drawing", unit="image", disable=not progress
    ) as bar:
        try:
            for _, reason in in_processes(_draw, tasks, workers=config.workers or available_cores()):
                bar.update()
                if reason is not None:
                    yield reason
        except ProcessDiedError as error:
            raise UserError(
                "a drawing process died, most likely because memory ran out; take fewer --workers or a "
                "smaller --size, and the same command goes on from there"
            ) from error


def _draw(task: tuple[ImageRecord, DrawConfig]) -> str | None:
    return draw_image(*task)


def draw_image(record: ImageRecord, config: DrawConfig) -> str | None:
    """Make and write the pairs of one radiograph; the reason in one line if that cannot be done."""
    try:
        radiograph = read_radiograph(record.image, config.intensity)
        source = find_chest(radiograph, record.id, record.image, config)
        scenarios = draw_scenarios(record.id, config)
        pairs = (draw_pair(source, scenario, i, config) for i, scenario in enumerate(scenarios))
        write_pairs(config.out, record.id, record.image, pairs, config.change)
    except DataError as error:
        return str(error)
    return None
