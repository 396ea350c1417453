"""From models and radiographs to files."""

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from data.base.atomic import move_files, named_if_it_fails, scratch_folder
from data.base.errors import UserError
from data.files.formats import DICOM_SUFFIXES, suffix_of
from data.findings import CHANGED
from gan.predict.dicom import MAKER, Algorithm, Sources
from gan.predict.ensemble import Ensemble, weights_of
from gan.predict.options import Task
from gan.predict.places import Places, places_beside
from gan.predict.writing import Writer, predicted_of, shown
from gan.run.change_model import ChangeModel
from gan.run.directory import RunDir
from gan.run.feeding import feed, fit_pair, not_aligned
from gan.run.handover import sha256_of

log = logging.getLogger(__name__)


def predict(task: Task) -> None:
    """Do what a command line asks for, and say what was written.

    Raises:
        UserError, DataError: a model or a file is not what it should be, or cannot be written.
    """
    config = task.config
    if task.pair is None:
        from gan.predict.collection import Collection

        assert task.pairs is not None
        records = Collection.records_of(task.pairs, config.on_error)
        ensemble, weights = load(task), digests(task)
        Collection(records, ensemble, writer_of(task, ensemble, weights), config, weights).predict()
        return
    if suffix_of(config.output) in DICOM_SUFFIXES:
        Sources.read(*task.pair)
    ensemble = load(task)
    places = places_beside(config.output, uncertainty=ensemble.is_several)
    places = places if config.overlay else replace(places, overlay=None)
    predict_pair(ensemble, writer_of(task, ensemble, digests(task)), task.pair, places, tiles=config.tiles)
    for path in places.all():
        print(path)


def load(task: Task) -> Ensemble:
    """The models of a task, on its device."""
    config = task.config
    device = "cpu" if config.cpu or not torch.cuda.is_available() else "cuda"
    models = {}
    for name, place in task.models.items():
        model = ChangeModel.load(place, device=device, trust_remote_code=config.trust_remote_code)
        models[name] = replace(model, preprocessing=replace(model.preprocessing, align=config.align))
    return Ensemble(models, config.passes, config.seed)


def predict_pair(
    ensemble: Ensemble, writer: Writer, files: tuple[Path, Path], places: Places, *, tiles: int = 1
) -> None:
    """Predict one pair and write all its files, or none.

    Raises:
        DataError: an image is missing or unreadable, or a file cannot be written.
    """
    model = next(iter(ensemble.models.values()))
    before, after = (model.read(path) for path in files)
    fed = feed(
        [fit_pair(before, after, ensemble.preprocessing, tiles=tiles)], align=ensemble.preprocessing.align
    )
    if (reason := not_aligned(fed.confidence)) is not None:
        log.warning(reason)
    maps = ensemble(fed.to(ensemble.device), [files[1].name])
    (predicted,) = predicted_of([files], *maps, fed.geometry, [shown(after.pixels)])
    with named_if_it_fails(places.map), scratch_folder(places.map) as folder:
        parts = Places(**{name: path and folder / path.name for name, path in vars(places).items()})
        writer.write(predicted, parts)
        move_files(zip(parts.all(), places.all(), strict=True))


def writer_of(task: Task, ensemble: Ensemble, weights: Sequence[str]) -> Writer:
    """What is to be written of every map of a task, made with weights of these digests."""
    config, made_by = task.config, ensemble.preprocessing
    try:
        release = version(MAKER)
    except PackageNotFoundError:  # run from a checkout that is not installed
        release = "unknown"
    parameters = {name: str(getattr(config, name)) for name in ("align", "tiles", "passes", "seed")}
    algorithm = Algorithm(
        name=made_by.network.rpartition(":")[2],
        version=release,
        weights=" ".join(weights),
        parameters={**parameters, "models": str(len(task.models)), "change": made_by.change},
    )
    return Writer(
        change=made_by.change,
        threshold=threshold_of(task) if config.threshold is None else config.threshold,
        algorithm=algorithm,
        has_colour_bar=task.pair is not None,
    )


def digests(task: Task) -> list[str]:
    """Twelve hexadecimal digits of the weights of each model."""
    return [sha256_of(weights_of(place))[:12] for place in task.models.values()]


def threshold_of(task: Task) -> float:
    """The mean of the thresholds that the models' runs chose on validation; says where there is none."""
    chosen = [_chosen(place) for place in task.models.values()]
    known = [threshold for threshold in chosen if threshold is not None]
    if len(known) == len(chosen):
        return sum(known) / len(known)
    log.warning(f"threshold: {CHANGED}, for the model's run names none; --threshold sets another")
    return CHANGED


def _chosen(place: Path) -> float | None:
    """What the run of a generator chose; None where it lies in no run, or no validation pair changed."""
    for summary in sorted(RunDir(place.parent).evaluation.rglob("summary.json")):
        try:
            return float(json.loads(summary.read_text())["thresholds"]["model"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{summary} is damaged; put it back, or name a --threshold") from error
    return None
