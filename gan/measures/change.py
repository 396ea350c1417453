"""How good change maps are, and the baselines they must beat."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress

import torch
from torch import Tensor
from torch.nn.functional import l1_loss

CHANGED = 0.05
"""A pixel counts as changed where the magnitude of the target exceeds this."""

Numbers = dict[str, float | None]


@dataclass
class ChangeMaps:
    """Maps of a whole split, gathered on the CPU: float32 `[N, 1, H, W]`.

    Average precision and AUROC are exact, so every pixel is kept until the end.
    """

    signed: bool
    prediction: list[Tensor] = field(default_factory=list)
    target: list[Tensor] = field(default_factory=list)
    difference: list[Tensor] = field(default_factory=list)
    valid: list[Tensor] = field(default_factory=list)
    findings: list[Sequence[str]] = field(default_factory=list)

    def add(
        self,
        *,
        prediction: Tensor,
        target: Tensor,
        difference: Tensor,
        valid: Tensor | None,
        findings: Sequence[Sequence[str]],
    ) -> None:
        """Take in one batch; `difference` is followup minus baseline, whose sign magnitudes do not use.

        A pair without a pixel that counts stands in for one that could not be read, and is left out.
        """
        valid = torch.ones_like(target) if valid is None else valid
        counts = [bool(mask.any()) for mask in valid]
        difference = difference if self.signed else difference.abs()
        for kept, maps in (
            (self.prediction, prediction.detach().float().cpu()),
            (self.target, target.float().cpu()),
            (self.difference, difference.float().cpu()),
            (self.valid, valid.bool().cpu()),
        ):
            kept += list(compress(maps, counts))
        self.findings += list(compress(findings, counts))

    def report(self) -> dict[str, object]:
        """Numbers of the prediction, of the two baselines, and of both by finding.

        The numbers of a finding are those over all pairs in which it appeared or resolved.
        """
        everything = range(len(self.target))
        pixels = torch.cat([target[valid] for target, valid in zip(self.target, self.valid, strict=True)])
        empty = [torch.zeros_like(target) for target in self.target]
        findings = sorted({name for names in self.findings for name in names})
        by_finding: dict[str, object] = {}
        for name in findings:
            chosen = [index for index in everything if name in self.findings[index]]
            by_finding[name] = {
                "pairs": len(chosen),
                **self._numbers(self.prediction, chosen),
                "empty": self._numbers(empty, chosen),
                "absdiff": self._numbers(self.difference, chosen),
            }
        return {
            **self._numbers(self.prediction, everything),
            "pairs": len(self.target),
            "changed": float((pixels.abs() > CHANGED).float().mean()),
            "empty": self._numbers(empty, everything),
            "absdiff": self._numbers(self.difference, everything),
            "findings": by_finding,
        }

    def summary(self) -> Numbers:
        """Numbers of the prediction alone."""
        return self._numbers(self.prediction, range(len(self.target)))

    def _numbers(self, maps: Sequence[Tensor], chosen: Iterable[int]) -> Numbers:
        chosen = list(chosen)
        return change_numbers(
            torch.stack([maps[index] for index in chosen]),
            torch.stack([self.target[index] for index in chosen]),
            torch.stack([self.valid[index] for index in chosen]),
            signed=self.signed,
        )


def change_numbers(prediction: Tensor, target: Tensor, valid: Tensor, *, signed: bool) -> Numbers:
    """AUROC and average precision of change, MAE, PSNR and SSIM of maps `[N, 1, H, W]`.

    A pixel's score is the magnitude of the prediction; it is positive where the magnitude of the target
    exceeds `CHANGED`. Pixels of all maps are ranked together. AUROC and average precision are None where
    no pixel changed, or all did; PSNR is None where the maps are equal. PSNR and SSIM take a fixed data
    range: 1 for maps in `[0, 1]`, 2 for signed ones. SSIM is the mean of its local values over the pixels
    that count.
    """
    # Takes seconds to import, and a mistake in the command line should not have to wait for it.
    from torchmetrics.functional.classification import binary_auroc, binary_average_precision
    from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

    data_range = 2.0 if signed else 1.0
    positive = (target.abs() > CHANGED)[valid].int()
    score = prediction.abs()[valid].clamp(0, 1)
    psnr = peak_signal_noise_ratio(prediction[valid], target[valid], data_range=data_range).item()
    _, similar = structural_similarity_index_measure(
        prediction * valid, target * valid, data_range=data_range, return_full_image=True
    )
    ranked = 0 < int(positive.sum()) < positive.numel()
    return {
        "auroc": binary_auroc(score, positive).item() if ranked else None,
        "average_precision": binary_average_precision(score, positive).item() if ranked else None,
        "mae": l1_loss(prediction[valid], target[valid]).item(),
        "psnr": psnr if math.isfinite(psnr) else None,
        "ssim": similar[valid].mean().item(),
    }


def change_table(report: Mapping[str, object]) -> str:
    """The final numbers as a table for a terminal."""
    columns = ("auroc", "average_precision", "mae", "psnr", "ssim")
    rows: list[tuple[str, Mapping[str, object]]] = [
        ("change model", report),
        ("empty map", _mapping(report["empty"])),
        ("|followup - baseline|", _mapping(report["absdiff"])),
    ]
    for name, numbers in _mapping(report["findings"]).items():
        rows.append((f"  {name} ({_mapping(numbers)['pairs']} pairs)", _mapping(numbers)))
    width = max(len(label) for label, _ in rows)
    lines = [
        " " * width + "".join(f"{name.replace('average_precision', 'AP').upper():>10}" for name in columns)
    ]
    for label, numbers in rows:
        cells = [numbers[name] for name in columns]
        lines.append(
            label.ljust(width) + "".join("         -" if cell is None else f"{cell:10.4f}" for cell in cells)
        )
    return "\n".join(lines)


def _mapping(value: object) -> Mapping[str, object]:
    assert isinstance(value, Mapping)
    return value
