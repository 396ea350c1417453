"""The stages: masked-reconstruction pretraining, adversarial training, prediction, benchmark."""

import os

# How long an idle thread of torch spins before it sleeps. With the runtime's default, threads starve each
# other as soon as anything else runs on the same cores, and a step of the tiny preset takes thirty times as
# long; without spinning at all, waking up costs a third more. Must be set before torch is imported.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")
