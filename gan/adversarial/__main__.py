"""`python -m gan.adversarial`: the change model against a PatchGAN, with L1 and perceptual terms."""

from dataclasses import replace

from data.base.commandline import argv, run_command
from gan.adversarial.options import PRESETS
from gan.run.commandline import parse
from gan.run.directory import find_pretrained


def main() -> None:
    """Parse the command line and run the stage."""
    config = parse(argv(), prog="python -m gan.adversarial", presets=PRESETS)
    pretrained = find_pretrained(config.pretrained)
    if pretrained is not None:  # config.yaml names the run that was used, not "auto"
        config = replace(config, pretrained=str(pretrained.path))
    from gan.adversarial.stage import train_adversarially  # torch is imported from here on

    train_adversarially(config, pretrained)


if __name__ == "__main__":
    run_command(main)
