"""Whose turn it is, how loud the adversary is, and what is said of the game."""

import re
from copy import deepcopy

import pytest
import torch

from data.base.errors import UserError
from gan.adversarial.game import (
    AREA,
    AREA_TARGET,
    NORM_ADVERSARIAL,
    NORM_OTHERS,
    RIGHT_FAKE,
    RIGHT_REAL,
    Averages,
    Standing,
    look,
    problems,
    turn_of,
)
from gan.adversarial.options import PRESETS, GameConfig
from gan.run.commandline import parse


def config(**game):
    made = deepcopy(PRESETS["tiny"])
    made.game = GameConfig(**game)
    return made


def turns(options, steps, paused=False):
    return [turn_of(options, step, per_epoch=4, paused=paused) for step in range(steps)]


def test_by_default_both_play_in_full_from_the_first_step():
    for turn in turns(config(), 5):
        assert (turn.plays, turn.learns, turn.volume, turn.penalises) == (True, True, 1.0, True)


def test_d_learns_alone_then_g_hears_more_and_more():
    options = config(warmup_steps=2, ramp_steps=3, look_every=4)
    options.adversarial_start = 1
    made = turns(options, 12)
    assert [turn.plays for turn in made] == [turn.learns for turn in made] == [False] * 4 + [True] * 8
    assert [turn.volume for turn in made] == [0] * 6 + [0.25, 0.5, 0.75, 1, 1, 1]
    assert [number for number, turn in enumerate(made) if turn.looks] == [3, 7, 11]
    assert len({turn.key for turn in made[4:]}) == 8


def test_penalties_come_every_few_steps_and_a_pause_holds_d_back():
    options = config()
    options.loss.penalty_every = 3
    assert [turn.penalises for turn in turns(options, 6)] == [True, False, False] * 2
    assert not any(turn.learns for turn in turns(options, 6, paused=True))
    assert all(turn.plays for turn in turns(options, 6, paused=True))


def test_without_a_weight_nobody_plays():
    options = config()
    options.weights.adversarial = 0
    assert not any(turn.plays or turn.learns or turn.volume for turn in turns(options, 3))


def feed(averages, steps=10, **values):
    for _ in range(steps):
        averages.add({name: torch.tensor(float(value)) for name, value in values.items()})


def test_running_averages_by_hand():
    averages = Averages()
    assert averages.mean(AREA).isnan()
    for value in (1.0, 2.0, 4.0):
        averages.add({AREA: torch.tensor(value)})
    weights = (0.9**2, 0.9, 1.0)
    assert averages.mean(AREA).item() == pytest.approx(
        sum(w * v for w, v in zip(weights, (1, 2, 4), strict=True)) / sum(weights)
    )
    averages.add({AREA: torch.tensor(float("nan"))})
    assert averages.mean(AREA).item() == pytest.approx((0.81 + 1.8 + 4) / 2.71)


def test_the_weight_gives_the_adversarial_term_its_share():
    averages = Averages()
    feed(averages, **{NORM_ADVERSARIAL: 0.5, NORM_OTHERS: 6})
    weight = averages.weight(0.2, largest=1e4).item()
    assert weight * 0.5 / (weight * 0.5 + 6) == pytest.approx(0.2, rel=1e-4)
    assert averages.weight(0.2, largest=2.0).item() == 2.0
    feed(averages, steps=200, **{NORM_ADVERSARIAL: 0, NORM_OTHERS: 6})
    assert averages.weight(0.2, largest=1e4).item() == 1e4, "the cap holds where a gradient vanishes"


def test_no_weight_follows_from_a_single_batch():
    averages = Averages()
    feed(averages, steps=4, **{NORM_ADVERSARIAL: 0.5, NORM_OTHERS: 6})
    assert averages.weight(0.2, largest=1e4).item() == 0
    feed(averages, steps=1, **{NORM_ADVERSARIAL: 0.5, NORM_OTHERS: 6})
    before = averages.weight(0.2, largest=1e4).item()
    averages.add({NORM_ADVERSARIAL: torch.tensor(0.5), NORM_OTHERS: torch.tensor(60.0)})
    assert before < averages.weight(0.2, largest=1e4).item() < 4 * before, "ten times as much, in one batch"


def standing(right=0.7, area=0.04, target=0.04, share=0.1):
    return Standing(accuracy=right, area=area, area_target=target, share=share)


def names(state, options=None):
    return [name for name, _ in problems(state, options or config())]


def test_a_game_in_which_both_play_needs_no_word():
    assert names(standing()) == []
    assert names(Standing(None, None, None, None)) == []


@pytest.mark.parametrize(
    ("state", "name", "words"),
    [
        (standing(right=0.51), "blind", r"blind.* 51% of patches.*--optim\.lr-discriminator"),
        (standing(right=0.99), "won", r"has won.* 99% of patches.*--game\.pause-above"),
        (standing(area=0.001), "collapsed", r"empty: 0\.1% .* 4\.0% of the targets'; raise --weights\.l1"),
        (standing(area=0.9), "collapsed", r"full: 90\.0% .*raise --weights\.l1"),
        (standing(share=1e-5), "vanished", r"vanished: 0\.00% .*--game\.gradient-share"),
    ],
)
def test_every_problem_has_a_name_and_one_sentence_with_a_remedy(state, name, words):
    ((found, sentence),) = problems(state, config())
    assert found == name
    assert re.search(words, sentence)
    assert "\n" not in sentence


def test_remedies_are_those_of_the_options_in_use():
    options = config()
    options.disc.standardise, options.disc.spectral_norm, options.loss.r1 = True, False, 1.0
    ((_, sentence),) = problems(standing(right=0.5), options)
    assert sentence.endswith("(now 0.0005), or lower --loss.r1 and --loss.r2")


def test_every_option_that_is_proposed_is_one():
    states = [standing(0.5, 0.001, share=0), standing(0.99, 0.9)]
    sentences = " ".join(sentence for state in states for _, sentence in problems(state, config()))
    for option in set(re.findall(r"--[\w.-]+(?: \d[\d.]*| translation cutout)?", sentences)):
        words = option.split()
        given = words if len(words) > 1 or "standardise" in option or "no-" in option else [*words, "1"]
        parse(["--cpu", *given], prog="test", presets=PRESETS)


def test_a_problem_is_said_once_when_it_has_lasted_and_again_when_it_comes_back():
    averages, options = Averages(), config()
    said = [len(look(averages, standing(right=0.5), options, heard=True)) for _ in range(8)]
    assert said == [0, 0, 0, 0, 1, 0, 0, 0]
    look(averages, standing(), options, heard=True)
    assert sum(len(look(averages, standing(right=0.5), options, heard=True)) for _ in range(8)) == 1


def test_nothing_is_said_of_a_d_that_learns_alone():
    averages, options = Averages(), config(pause_above=0.9)
    alone = standing(right=0.99, area=0.001, share=0)
    said = [look(averages, alone, options, heard=False) for _ in range(8)]
    assert [len(sentences) for sentences in said] == [0, 0, 0, 0, 1, 0, 0, 0]
    assert "collapsed" in said[4][0]
    assert averages.paused


def test_d_rests_while_it_runs_away():
    averages, options = Averages(), config(pause_above=0.8)
    for right, paused in ((0.7, False), (0.81, True), (0.8, False)):
        look(averages, standing(right=right), options, heard=True)
        assert averages.paused == paused
    look(averages, standing(right=1.0), config(), heard=True)
    assert not averages.paused, "1 is never"


def test_the_game_comes_back_from_its_state():
    averages = Averages()
    feed(averages, **{RIGHT_REAL: 0.4, RIGHT_FAKE: 0.5, AREA_TARGET: 0.04})
    look(averages, standing(right=0.5), config(), heard=True)
    averages.paused = True
    again = Averages()
    again.load_state_dict(averages.state_dict())
    assert (again.paused, again.held) == (True, {"blind": 1})
    assert Standing.of(again, None) == Standing.of(averages, None)
    assert Standing.of(again, None).accuracy == pytest.approx(0.45)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--game.pause-above 0.4", "game.pause_above is 0.4; it must be between 0.5 and 1"),
        ("--game.gradient-share 1", "game.gradient_share is 1.0; it must be below 1"),
        ("--game.warmup-steps -1", "game.warmup_steps is -1"),
        ("--optim.disc-steps 0", "optim.disc_steps is 0; it must be at least 1"),
        ("--disc.map-gain 0", "map_gain=0.0 is not a positive number"),
        ("--loss.adversarial wasserstein --disc.no-spectral-norm", "set loss.gradient_penalty to 10"),
        ("--loss.adversarial relativistic --loss.r1 1", "without r2, which diverges"),
    ],
)
def test_bad_options_are_named(options, words):
    with pytest.raises(UserError, match=re.escape(words)):
        parse(["--cpu", *options.split()], prog="test", presets=PRESETS)
