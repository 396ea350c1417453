"""The stages: masked-reconstruction pretraining, adversarial training, prediction, benchmark."""
