"""The result of Adapt to Footage before and after, as a picture."""

import torch

from ...hdr.draw.text import PAPER, text
from ...hdr.tonemap import mu_law
from .adapt import AdaptReport

GAP, LETTERS = 6, 9  # pixels
MU, WHITE = 500.0, 0.999  # as nodes show HDR frames by default; share of the values that white is above


def before_and_after(report: AdaptReport) -> torch.Tensor:
    """A piece of a frame that was held out, before on the left and after on the right: (1,h,w,3), display-encoded."""
    pictures = report.pictures.float()
    peak = pictures.flatten().quantile(WHITE).clamp(min=1e-6)
    before, after = mu_law(pictures / peak, MU).clamp(0, 1)
    height, width = before.shape[:2]
    sheet = torch.full((height, 2 * width + GAP, 3), PAPER)
    sheet[:, :width], sheet[:, width + GAP :] = before, after
    for words, x in (("before", 0), ("after", width + GAP)):
        text(sheet, words, x + LETTERS, LETTERS, LETTERS, shadow=True)
    return sheet[None]
