"""All radiographs of a data set, in several processes; a run that was stopped goes on where it was."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tqdm import tqdm

from data.base.engines import engine_of
from data.base.errors import DataError
from data.draw.masks import masks_of, stamps_of
from data.draw.naming import Named, name_records
from data.draw.options import DrawConfig
from data.draw.output import MANIFEST, claimed, finished, output_of, write_skipped
from data.draw.pairs import DrawnPair, draw_pair, draw_scenarios, find_chest
from data.files.images import read_radiograph
from data.manifests.folders import images_in_folder
from data.manifests.manifest import images_in_manifest
from data.manifests.records import PAIR_FILES
from data.manifests.writing import Row, flat_files, write_manifest, write_pair


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run has come to."""

    manifest: Path
    images: int
    """Radiographs that pairs were made of."""
    pairs: int
    skipped: list[str]
    """One line for each radiograph that was left out, naming it and the reason."""


def draw(config: DrawConfig, *, progress: bool = True) -> Outcome:
    """Make the data set.

    Raises:
        DataError: the source or the folder is not what it should be or cannot be written to, or nothing in it
            can be drawn into; with `on_error="raise"`, the first radiograph that cannot be read, shows no two
            lung fields or leaves no room for a finding.
    """
    films = _find(config)
    with claimed(config):
        return _complete(films, config, progress)


def _complete(films: Sequence[Named], config: DrawConfig, progress: bool) -> Outcome:
    """Draw what is missing and write down what is there."""
    skipped = _draw_missing(films, config, progress)
    write_skipped(config.out, skipped)
    drawn = [(film, rows) for film in films if (rows := finished(film, config))]
    if not drawn:
        raise DataError(f"{config.images} has no image that can be drawn into; {skipped[0]}")
    manifest = config.out / MANIFEST
    lines = [
        {**row, "patient_id": film.patient_id, "split": film.record.split}
        for film, rows in drawn
        for row in rows
    ]
    write_manifest(manifest, lines)
    return Outcome(manifest=manifest, images=len(drawn), pairs=len(lines), skipped=skipped)


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


def _draw_missing(films: Sequence[Named], config: DrawConfig, progress: bool) -> list[str]:
    """Draw into the radiographs that are not finished; the reasons why some could not be drawn into."""
    missing = [film for film in films if finished(film, config) is None]
    there = len(films) - len(missing)
    work = engine_of(config.workers, config.cluster).run(partial(draw_image, config), missing)
    with closing(work):
        bar = tqdm(work, "drawing", len(films), initial=there, unit="image", disable=not progress)
        return [reason for _, reason in bar if reason is not None]


def draw_image(config: DrawConfig, film: Named) -> str | None:
    """Make and write the pairs of one radiograph; the reason in one line if it cannot be drawn into.

    Raises:
        DataError: the pairs cannot be written, or, with `on_error="raise"`, that reason.
    """
    stamps = stamps_of(film.record, config.images)
    rows: list[Row] = []
    with output_of(config).piece(film.key) as (folder, record):
        try:
            for pair in _pairs_of(film, config):
                known = pair.columns | {"group": f"{film.key}-{pair.columns['group']}"}
                name = f"{film.key}-{len(rows):03d}"
                files, planes = flat_files(name), {role: getattr(pair, role) for role in PAIR_FILES}
                write_pair(folder, files, planes, config.change)
                rows.append({"id": name, **files, "findings": "+".join(pair.findings), **known})
        except DataError as error:
            if config.on_error == "raise":
                raise
            return str(error)
        record |= {"source": stamps, "rows": rows}
    return None


def _pairs_of(film: Named, config: DrawConfig) -> Iterator[DrawnPair]:
    record = film.record
    radiograph = read_radiograph(record.image, config.intensity)
    masks = masks_of(record, config.images)
    source = find_chest(radiograph, record.id, record.image, config, masks)
    for number, scenario in enumerate(draw_scenarios(record.id, config)):
        yield draw_pair(source, scenario, number, config)
