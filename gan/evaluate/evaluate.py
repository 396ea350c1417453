"""From runs and data to tables, files and pictures."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import PartialState
from torch.utils.data import ConcatDataset

from data.base.atomic import whole_folder
from data.base.errors import DataError, UserError
from data.batch import PairSample
from data.config import SPLITS
from data.findings import CHANGED
from data.sources import Split, StreamedSplit, open_pairs, settled
from gan.evaluate.options import EvaluateConfig
from gan.evaluate.pictures import draw_pictures
from gan.evaluate.realism import TRUTH, judge_realism
from gan.measures.baselines import BASELINES
from gan.measures.evaluation import Evaluation, edge
from gan.measures.groups import columns_of
from gan.measures.judge import Judge
from gan.measures.localisation import Localisation
from gan.measures.models import Model
from gan.measures.report import summarise, summarise_places, table, write_cases, write_places, write_summary
from gan.measures.scores import bin_from
from gan.run.directory import RunDir
from gan.run.handover import ANY, seen_by


def evaluate(config: EvaluateConfig, folders: Mapping[str, Path], out: Path) -> None:
    """Judge the generators in `folders` and write what comes of it to `out`; every process calls this.

    Raises:
        UserError, DataError: an option or a file is not what it should be.
    """
    config = replace(config, data=settled(config.data))
    process = PartialState(cpu=config.cpu or not torch.cuda.is_available())
    with process.main_process_first():  # so that data that is rendered is there for the others
        splits = open_splits(config)
    trusted = ANY if config.trust_remote_code else ""
    models = {
        run: Model.load(run, folder, process.device, trusted=trusted) for run, folder in folders.items()
    }
    judge = Judge(models, config.data, process)
    _warn_of_seen(judge, config, splits)
    pairs: Any = ConcatDataset(cast(Any, [splits[name] for name in wanted(config) if name in splits]))
    thresholds = choose_thresholds(judge, config, splits)
    realism = judge_realism(judge, pairs) if config.critic else {}
    places = {name: Localisation(signed=judge.signed) for name in (*models, *BASELINES)}
    evaluation, skipped = judge.judge(pairs, thresholds, places)
    by = _known_columns(config.by, evaluation)
    if not process.is_main_process:
        return
    summary = summarise(evaluation, models=list(models), by=by, replicates=config.replicates)
    summary |= {"runs": list(models), "split": config.split, "skipped": skipped}
    if realism:
        summary["truth"] = realism.pop(TRUTH)
        for name, numbers in realism.items():
            summary["methods"][name] |= numbers
    if has_places := any(scores.pairs for scores in places.values()):
        summary["places"] = summarise_places(places, replicates=config.replicates)
    titles = {**{run: run for run in models}, **BASELINES}
    with whole_folder(out) as part:
        write_summary(part / "summary.json", summary)
        write_cases(part / "cases.csv", evaluation)
        if has_places:
            write_places(part / "boxes.csv", places)
        draw_pictures(part, summary, titles, evaluation, pairs, judge.models, config.cases)
    print(f"{summary['pairs']} pairs of {summary['patients']} patients, split {config.split}")
    print(table(summary, titles))
    print(f"written to {out}")


def wanted(config: EvaluateConfig) -> Sequence[str]:
    """The splits to judge on."""
    return SPLITS if config.split == "all" else (config.split,)


def open_splits(config: EvaluateConfig) -> dict[str, Split[PairSample]]:
    """What there is of the splits to judge on and of validation.

    Raises:
        DataError: there is nothing to judge on.
    """
    found: dict[str, Split[PairSample]] = {}
    reasons = {}
    for name in dict.fromkeys((*wanted(config), "val")):
        try:
            found |= open_pairs(config.data, [name], with_targets=False)
        except DataError as error:
            reasons[name] = error
    if not found.keys() & set(wanted(config)):
        raise reasons[wanted(config)[-1]]
    for name, split in found.items():
        if isinstance(split, StreamedSplit):
            raise UserError(f"--split {name} of {config.data.prepared} is streamed; choose test or val")
    return found


def choose_thresholds(judge: Judge, config: EvaluateConfig, splits: Mapping[str, Any]) -> dict[str, int]:
    """From which bin a pixel is marked, for each method; says where it comes from."""
    names = (*judge.models, *BASELINES)
    if config.threshold is not None:
        return dict.fromkeys(names, max(1, bin_from(config.threshold)))
    chosen = judge.thresholds(splits.get("val"))
    if chosen is None:
        judge.say(
            f"threshold: {CHANGED}, for there is no validation pair that changed; --threshold sets another"
        )
        return dict.fromkeys(names, bin_from(CHANGED))
    told = (f"{edge(level):.3f} for {name}" for name, level in chosen.items() if name != "empty")
    judge.say(f"thresholds, by the Dice of the validation pairs: {', '.join(told)}")
    return chosen


def _known_columns(by: Iterable[str], evaluation: Evaluation) -> list[str]:
    """The columns that there are.

    Raises:
        UserError: one is not there.
    """
    names = columns_of(evaluation.pairs)
    for column in by:
        if column not in (*names, "findings"):
            raise UserError(f"--by {column}: the data has no such column; it has {', '.join(names)}")
    return list(by)


def _warn_of_seen(judge: Judge, config: EvaluateConfig, splits: Mapping[str, Split[PairSample]]) -> None:
    """Say where a run was trained on patients that it is judged on."""
    for run in config.runs:
        if warning := seen_by(RunDir(Path(run)), splits):
            judge.say(warning)
