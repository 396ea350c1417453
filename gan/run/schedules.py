"""Pure functions of the step."""

import math

from gan.run.options import Schedule


def learning_rate_factor(step: int, *, total: int, warmup: int, schedule: Schedule) -> float:
    """Share of the peak learning rate that optimiser step `step` (from 0) is made with.

    Rises linearly over `warmup` steps, then stays (constant), falls linearly to 0, or falls along half a
    cosine to 0 at `total`. Source of the cosine: SGDR (Loshchilov and Hutter, ICLR 2017), equation 5,
    without restarts.
    """
    if step < warmup:
        return (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, total - warmup))
    match schedule:
        case "constant":
            return 1.0
        case "linear":
            return 1.0 - progress
        case "cosine":
            return 0.5 * (1.0 + math.cos(math.pi * progress))


def ema_decay(step: int, *, decay: float) -> float:
    """Decay of the moving average at optimiser step `step` (from 0): rises to `decay`, so that a short
    run's average is not dominated by the initialisation.

    Source: the warm-up `(1 + n) / (10 + n)` of TensorFlow's `ExponentialMovingAverage`.
    """
    return min(decay, (1 + step) / (10 + step))
