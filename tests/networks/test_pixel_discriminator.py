"""Every pixel is judged by itself."""

import pytest
import torch

from networks import PixelDiscriminator


def images(size=9):
    return torch.rand(3, 2, 1, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("spectral_norm", [True, False])
def test_a_logit_sees_its_pixel_alone_and_every_parameter_learns(spectral_norm):
    model = PixelDiscriminator(base_channels=4, spectral_norm=spectral_norm).eval()
    baseline, followup, change = images().requires_grad_()
    change.retain_grad()
    logits = model(baseline, followup, change)
    assert logits.shape == (2, 1, 9, 9)
    (gradient,) = torch.autograd.grad(logits[0, 0, 3, 5], change, retain_graph=True)
    assert gradient.nonzero().tolist() == [[0, 0, 3, 5]]
    logits.square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())


def test_it_comes_back_from_its_folder_with_its_options(tmp_path):
    model = PixelDiscriminator(base_channels=4).eval()
    model.save_pretrained(tmp_path)
    again = PixelDiscriminator.from_pretrained(tmp_path)
    assert torch.equal(again(*images()), model(*images()))


def test_a_count_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match="base_channels"):
        PixelDiscriminator(base_channels=0)


def test_maps_come_at_their_scale():
    plain, loud = PixelDiscriminator(base_channels=4).eval(), PixelDiscriminator(base_channels=4, map_gain=9)
    loud.eval().load_state_dict(plain.state_dict())
    baseline, followup, change = images()
    assert torch.equal(loud(baseline, followup, change), plain(baseline, followup, 9 * change))
