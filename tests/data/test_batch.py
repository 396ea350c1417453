import math

import torch

from data import ImageSample, PairSample, collate_images, collate_pairs


def image(name, **options):
    return ImageSample(id=name, patient_id="p", image=torch.full((1, 4, 4), 0.5), **options)


def test_a_sample_without_a_mask_counts_whole_where_another_has_one():
    batch = collate_images([image("a"), image("b", valid=torch.zeros(1, 4, 4))])
    assert batch.valid.flatten(1).sum(1).tolist() == [16, 0]
    assert collate_images([image("a"), image("b")]).valid is None


def test_labels_are_there_when_every_sample_has_them():
    labels = torch.tensor([1, math.nan])
    batch = collate_images([image("a", labels=labels), image("b", labels=1 - labels)])
    assert batch.labels.shape == (2, 2)
    assert batch.labels[:, 0].tolist() == [1, 0]
    assert batch.labels[:, 1].isnan().all()
    assert collate_images([image("a", labels=labels), image("b")]).labels is None
    assert batch.to("meta").labels.device.type == "meta"


def test_columns_findings_and_reasons_stay_with_their_samples():
    zeros = torch.zeros(1, 4, 4)
    first = PairSample(id="a", patient_id="p", baseline=zeros, followup=zeros, columns={"site": "north"})
    second = PairSample(
        id="b",
        patient_id="q",
        baseline=zeros,
        followup=zeros,
        target=zeros,
        skipped=("why",),
        findings=("x",),
    )
    batch = collate_pairs([first, second])
    assert (batch.id, batch.columns) == (["a", "b"], [{"site": "north"}, {}])
    assert (batch.findings, batch.skipped, batch.target) == ([(), ("x",)], ["why"], None)
    assert len(batch) == 2
