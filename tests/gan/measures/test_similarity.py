import numpy as np
import torch
from skimage.metrics import structural_similarity
from torchmetrics.functional.image import structural_similarity_index_measure

from gan.measures.similarity import local_similarity


def maps():
    return torch.rand(2, 3, 1, 40, 32, generator=torch.Generator().manual_seed(0))


def test_it_is_that_of_torchmetrics():
    prediction, target = maps().double()
    for data_range in (1.0, 2.0):
        _, expected = structural_similarity_index_measure(
            prediction, target, data_range=data_range, return_full_image=True
        )
        ours = local_similarity(prediction, target, data_range)
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-6)


def test_it_is_that_of_scikit_image_away_from_the_border():
    prediction, target = (image[0, 0].double() for image in maps())
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "full": True}
    _, expected = structural_similarity(prediction.numpy(), target.numpy(), data_range=1.0, **options)
    ours = local_similarity(prediction[None, None], target[None, None], 1.0)[0, 0].numpy()
    inside = (slice(5, -5), slice(5, -5))
    np.testing.assert_allclose(ours[inside], expected[inside], atol=1e-6)
