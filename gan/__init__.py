"""The stages: masked-reconstruction pretraining, adversarial training, prediction, benchmark."""

import os

# Threads that wait by spinning starve each other as soon as anything else runs on the same cores: a step
# of the tiny preset on two shared cores then takes thirty times as long. Set before torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
