"""Pictures of an evaluation: its figures, the best and the worst cases."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import Normalize

from data import collate_pairs
from gan.measures.evaluation import Evaluation
from gan.measures.models import Model
from gan.pictures.change import MAGNITUDE, SIGNED, overlay
from gan.pictures.evaluation import Summary, draw_figures
from gan.pictures.grid import Column, draw_grid, planes


def draw_pictures(
    folder: Path,
    summary: Summary,
    titles: Mapping[str, str],
    evaluation: Evaluation,
    pairs: Any,
    models: Mapping[str, Model],
    rows: int,
) -> None:
    """Every picture there is something for.

    Args:
        folder: where to.
        summary: see `gan.measures.report.summarise`.
        titles: what each method is called; one has the same colour in all pictures.
        evaluation: of the same pairs.
        pairs: the pairs themselves, by place.
        models: whose maps are shown.
        rows: cases in a grid.
    """
    draw_figures(folder, summary, titles)
    for name, places in rank_cases(evaluation, next(iter(models)), rows).items():
        draw_cases(folder / f"{name}.png", pairs, evaluation, places, models)


def rank_cases(evaluation: Evaluation, method: str, rows: int) -> dict[str, list[int]]:
    """The places of the pairs that a method is best and worst at, and of those it should be silent on.

    Changed pairs by average precision; of unchanged pairs, or of all where no change is known, those with
    the most area marked.
    """
    numbers = evaluation.cases()[method]
    precision = numbers["pair_average_precision"]
    changed = np.flatnonzero(~np.isnan(precision))
    order = changed[np.argsort(precision[changed], kind="stable")]
    silent = np.flatnonzero(~np.isnan(numbers["silent_area"]) | (evaluation.known == 0))
    loud = silent[np.argsort(-numbers["area"][silent], kind="stable")]
    ranked = {"best": order[::-1][:rows], "worst": order[:rows], "loudest": loud[:rows]}
    return {name: [int(place) for place in places] for name, places in ranked.items() if len(places)}


def draw_cases(
    path: Path,
    pairs: Any,
    evaluation: Evaluation,
    places: Sequence[int],
    models: Mapping[str, Model],
) -> None:
    """One row a case: baseline, followup, target, and the map of every model over the followup."""
    batch = collate_pairs([pairs[evaluation.pairs[place].place] for place in places])
    numbers = evaluation.cases()
    device = next(next(iter(models.values())).generator.parameters()).device
    cmap, norm = SIGNED if evaluation.signed else MAGNITUDE
    followups, grey = planes(batch.followup), Normalize(0, 1)
    meaning = "attenuation change" if evaluation.signed else "change"
    columns = [
        Column("baseline", planes(batch.baseline), norm=grey),
        Column("followup", followups, norm=grey),
    ]
    if batch.target is not None:
        columns.append(Column("target", planes(batch.target), cmap, norm, bar=meaning))
    for name, model in models.items():
        maps = planes(model(batch.baseline.to(device), batch.followup.to(device)))
        laid = np.stack(
            [overlay(f, m, signed=evaluation.signed) for f, m in zip(followups, maps, strict=True)]
        )
        columns.append(Column(_short(name), maps, cmap, norm, bar=meaning))
        columns.append(Column("over the followup", laid, None, norm, bar=meaning, bar_cmap=cmap))
    draw_grid(path, [_label(evaluation, numbers[next(iter(models))], place) for place in places], columns)


def _label(evaluation: Evaluation, numbers: Mapping[str, np.ndarray], place: int) -> str:
    precision, area = numbers["pair_average_precision"][place], numbers["area"][place]
    judged = f"{area:.1%} marked" if np.isnan(precision) else f"AP {precision:.2f}"
    return f"{evaluation.pairs[place].id} {judged}"


def _short(name: str) -> str:
    return name if len(name) <= 26 else f"..{name[-24:]}"
