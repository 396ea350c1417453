"""A model card written from a run: what it learned from, how good it is, and what it is not for.

It names no patient, no file and no folder: of the data it tells kinds and counts alone.
"""

import csv
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from data.base.errors import UserError
from gan.measures.baselines import BASELINES
from gan.measures.table import BY_NAME, NUMBERS, cell
from gan.run.commandline import read_yaml
from gan.run.directory import RunDir
from gan.run.trained_on import read_preprocessing

_TEMPLATE = """---
{{ card_data }}
---

# {{ name }}

From two radiographs of one patient, taken at different times, a pixel-wise map of what changed, on the
pixels of the later one. {{ meaning }}

## Use

```python
from gan.run.change_model import ChangeModel

model = ChangeModel.load("{{ hub_id }}")
change = model("BASELINE.dcm", "FOLLOWUP.dcm")  # [1, H, W] of the followup
```

`preprocessing.json` says how images are fed: squares of {{ image_size }} px, framing {{ framing }}, intensity
{{ intensity }}{{ aligned }}. The network is `{{ network }}`.

## Trained on

{{ data }}

## Numbers

{{ numbers }}

## Limits

- For research. It is no medical device, and nobody has shown that a patient is better off with it.
- {{ measured }} On films of other scanners, other postures and other tone
  curves a model does worse; measure it on your own before you use it.
- A map says what looks different, not why: another pose, exposure or breath may look like change.
"""
_MAGNITUDE = "Its values are in `[0, 1]`: how much changed."
_SIGNED = "Its values are in `[-1, 1]`: positive is more attenuation than before, negative is less."
_MEASURED = (
    "The numbers are of data like that of the training.",
    "The numbers are of pairs of an evaluation.",
)
_THIS = "this model"
_OF_RESULTS = ("average_precision", "auroc", "dice", "sensitivity", "false_marks")


def card_of(run: RunDir, name: str, licence: str, evaluation: Path | None) -> str:
    """The text of README.md.

    Args:
        run: a run of adversarial training.
        name: `owner/name` on the hub.
        licence: of the weights.
        evaluation: a folder of `gan.evaluate`; None for the numbers at the end of the run.

    Raises:
        UserError: the options or the numbers cannot be read.
    """
    fed, summary = read_preprocessing(run.generator), _summary(run, evaluation)
    data = dict(read_yaml(run.config).get("data", {}))
    title = name.partition("/")[2]
    return str(
        ModelCard.from_template(
            _card_data(title, licence, summary, _kind(data) if evaluation is None else "of an evaluation"),
            template_str=_TEMPLATE,
            name=title,
            hub_id=name,
            meaning=_SIGNED if fed["change"] == "signed" else _MAGNITUDE,
            aligned=", baselines laid on their followups" if fed.get("align") else "",
            data=_data(run, data),
            numbers=_numbers(summary),
            measured=_MEASURED[evaluation is not None] if summary else "Nothing was measured.",
            **{key: fed[key] for key in ("image_size", "framing", "intensity", "network")},
        )
    )


def _summary(run: RunDir, evaluation: Path | None) -> dict[str, Any]:
    """What an evaluation came to; empty where a run has none."""
    path = (run.evaluation if evaluation is None else evaluation) / "summary.json"
    if evaluation is None and not path.is_file():
        if (run.evaluation / "1").is_dir():
            raise UserError(
                f"{run.path} has numbers of several sources; choose one: --evaluation {run.evaluation / '1'}"
            )
        return {}
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError) as error:
        raise UserError(f"--evaluation: {path} holds no numbers; name a folder of gan.evaluate") from error


def _method(summary: Mapping[str, Any]) -> Mapping[str, Any]:
    """The numbers of the model: of the first that was judged, whatever it was called."""
    model = next(name for name in summary["methods"] if name not in BASELINES)
    return dict(summary["methods"][model])


def _card_data(title: str, licence: str, summary: Mapping[str, Any], judged_on: str) -> ModelCardData:
    results = [
        EvalResult(
            task_type="image-segmentation",
            task_name="change detection",
            dataset_type="radiograph-pairs",
            dataset_name=f"held-out pairs, {judged_on}",
            metric_type=name,
            metric_name=BY_NAME[name].label,
            metric_value=number["value"],
        )
        for name, number in (_method(summary).items() if summary else ())
        if name in _OF_RESULTS and number["value"] is not None
    ]
    return ModelCardData(
        license=licence,
        library_name="radiograph-change-gan",
        pipeline_tag="image-to-image",
        tags=["medical", "radiography", "change-detection"],
        model_name=title if results else None,
        eval_results=results or None,
    )


def _kind(data: Mapping[str, Any]) -> str:
    if data.get("mix"):
        return f"a mix of {len(data['mix'])} sources"
    if data.get("path") or data.get("prepared"):
        return "pairs of the makers' own"
    return "embedded: projected from a chest CT with findings inserted"


def _data(run: RunDir, data: Mapping[str, Any]) -> str:
    """Kinds and counts of what a run saw."""
    counts: Counter[str] = Counter()
    if run.split.is_file():
        with run.split.open(newline="") as file:
            counts.update(row["split"] for row in csv.DictReader(file))
    patients = ", ".join(f"{count} to {_FOR[name]}" for name, count in counts.items() if name in _FOR)
    return f"Data: {_kind(data)}." + (f" Patients: {patients}." if patients else "")


_FOR = {"train": "train on", "val": "choose the model by", "test": "measure it on"}


def _numbers(summary: Mapping[str, Any]) -> str:
    """Tables of the numbers with their intervals."""
    if not summary:
        return "None were measured."
    columns = {_THIS: _method(summary)}
    columns |= {BASELINES[name]: of for name, of in summary["methods"].items() if name in BASELINES}
    rows = [
        [section, number.label.strip(), *(cell(of.get(name), number) for of in columns.values())]
        for section, numbers in NUMBERS.items()
        for name, number in numbers.items()
        if cell(columns[_THIS].get(name), number) != "-"
    ]
    parts = [
        f"{summary['pairs']} pairs of {summary['patients']} patients; in brackets, intervals of 95 % by a "
        "bootstrap over patients.",
        _table(["of", "", *columns], rows),
        *(f"{note[0].upper()}{note[1:]}." for note in summary.get("notes", ())),
    ]
    if found := summary.get("by", {}).get("finding"):
        precision = BY_NAME["pair_average_precision"]
        rows = [
            [name, str(of["pairs"]), cell(_method(of).get("pair_average_precision"), precision)]
            for name, of in found.items()
        ]
        parts.append(_table(["finding", "pairs", precision.label], rows))
    return "\n\n".join(parts)


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(text.replace("|", "\\|") for text in line) + " |" for line in lines)
