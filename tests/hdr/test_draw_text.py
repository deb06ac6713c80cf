"""Pictures that are drawn into sheets."""

import pytest
import torch
from hdrweave.hdr.draw.text import resized


@pytest.mark.parametrize("size", [(144, 257), (90, 160), (360, 640), (123, 321)])
def test_white_stays_white_in_a_file_that_truncates(size):
    white = resized(torch.ones(270, 480, 3), *size)
    assert ((255 * white).numpy().astype("uint8") == 255).all() and white.max() == 1
