"""Numbers of several sources and their means."""

from types import SimpleNamespace

from gan.run.judge import judge_sources, mean_numbers, say_sources

LOG = SimpleNamespace(watch=lambda batches: batches)


def test_every_source_counts_alike_and_counts_add_up():
    few = {"ap": 0.25, "pairs": 2, "psnr": None, "empty": {"mae": 1.0}, "findings": {"nodule": {"pairs": 2}}}
    many = {"ap": 0.75, "pairs": 100, "psnr": 8.0, "empty": {"mae": 2.0}, "findings": {}, "ci": [0.1, 0.2]}
    assert mean_numbers([few, many]) == {
        "ap": 0.5,
        "pairs": 102,
        "psnr": 8.0,
        "empty": {"mae": 1.5},
        "findings": {"nodule": {"pairs": 2}},
    }
    assert mean_numbers([{"auroc": None}, {"auroc": None}]) == {"auroc": None}


def test_the_numbers_of_each_source_stand_beside_the_means():
    splits = {"a": [1.0, 3.0], "b": [4.0]}
    numbers = judge_sources(lambda batches: {"mae": sum(batches) / len(batches)}, splits, LOG)
    assert numbers == {"mae": 3.0, "sources": {"a": {"mae": 2.0}, "b": {"mae": 4.0}}}
    alone = judge_sources(lambda batches: {"mae": sum(batches)}, {"": [1.0]}, LOG)
    assert alone == {"mae": 1.0}


def test_what_is_said_names_every_source():
    said = []
    log = SimpleNamespace(say=said.append)
    numbers = {"mae": 3.0, "sources": {"a": {"mae": 2.0}, "b": {"mae": 4.0}}}
    say_sources(log, numbers, lambda report: f"table of {report['mae']}")
    assert said == ["\na: table of 2.0", "\nb: table of 4.0", "\nmean over the sources: mae 3"]
    said.clear()
    say_sources(log, {"mae": 2.0}, lambda report: f"table of {report['mae']}")
    assert said == ["\ntable of 2.0"]
