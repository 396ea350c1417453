"""`python -m gan.adversarial`: the change model against a PatchGAN, with L1 and perceptual terms."""

from data.base.commandline import argv, run_command
from gan.cli import parse
from gan.config import adversarial_preset
from gan.rundir import find_pretrained


def main() -> None:
    """Parse the command line and run the stage."""
    config = parse(argv(), prog="python -m gan.adversarial", preset=adversarial_preset)
    pretrained = find_pretrained(config.pretrained)
    if pretrained is not None:
        config.pretrained = str(pretrained.path)  # config.yaml names the run that was used, not "auto"
    from gan.adversarial_training import train_adversarially  # torch is imported from here on

    train_adversarially(config, pretrained)


if __name__ == "__main__":
    run_command(main)
