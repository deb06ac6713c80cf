"""Box filters against PyTorch's pooling."""

import pytest
import torch
from hdrweave.hdr.box_filter import box_max, box_mean
from torch.nn import functional as F


@pytest.mark.parametrize("size", [1, 3, 5, 7, 9, 11])
@pytest.mark.parametrize("shape", [(2, 3, 17, 24), (1, 1, 1, 40), (1, 2, 4, 3)])
def test_filters_are_pooling(size, shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    mean, highest = x, x
    for kernel in ((1, size), (size, 1)):
        padding = tuple(k // 2 for k in kernel)
        mean = F.avg_pool2d(mean, kernel, 1, padding, count_include_pad=False)
        highest = F.max_pool2d(highest, kernel, 1, padding)
    torch.testing.assert_close(box_mean(x, size), mean, atol=1e-6, rtol=1e-5)
    assert torch.equal(box_max(x, size), highest)
