"""Flow-guided masked attention (DeAltHDR, key design 1): warping where the flow is consistent, attention elsewhere.

For features of any resolution. Flow is in pixels of their grid; *to the neighbour* means on the reference's grid,
pointing into the neighbour, *to the reference* the other way round.
"""

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from ...hdr.box_filter import box_mean
from ...hdr.warp import warp
from ..blocks import in_float32
from ..layout import channels_last

MIN_DISTANCE = 1e-4  # of D: smaller differences are rounding
PAIRS = 1 << 22  # of query and key that are computed at once; bounds the memory


def consistency(reference: torch.Tensor, to_reference: torch.Tensor, to_neighbour: torch.Tensor) -> torch.Tensor:
    """D: mean absolute difference of the reference and itself, warped to the neighbour's time and back.

    reference (N,3,H,W): gamma-encoded code values in [0,1], matched to the neighbour's exposure; flows (N,2,H,W) in
    pixels -> (N,1,H,W) in [0,1], the mean over channels. D is 0 where either frame clips: the matched reference is constant
    there.

    Changed against the paper: the frame is first smoothed over 3x3 pixels, and sampled bicubically. Otherwise D is dominated
    by noise and by the blur of two bilinear warps. With both, the mask for s = 100 is a third as large and misses 1 to 3 % more
    of the wrong pixels.
    """
    smooth = box_mean(reference, 3)
    at_neighbour = warp(smooth, to_reference, mode="bicubic").clamp(0, 1)
    back = warp(at_neighbour, to_neighbour, mode="bicubic").clamp(0, 1)
    return (back - smooth).abs().mean(1, keepdim=True)


def trust_mask(distance: torch.Tensor, s: float) -> torch.Tensor:
    """M of D: 1 where s D / 255 > 0.5, D in 8-bit units, which is D > 0.5 / s in [0,1]; same shape as `distance`.

    s: sensitivity, from 0 (flow alone) to infinity (attention everywhere). Raises ValueError when it is negative or
    NaN.
    """
    if not s >= 0:
        raise ValueError(f"the sensitivity s is {s:g}: give 0 (flow alone) or more, up to infinity (attention alone)")
    if s == 0:
        return torch.zeros_like(distance)
    if math.isinf(s):
        return torch.ones_like(distance)
    return (distance > 0.5 / s).to(distance)


def sensitivity_for(distance: torch.Tensor, share: float) -> float:
    """The largest s for which `trust_mask` marks no more than `share` of the values of D; `share` 0 gives 0, 1
    infinity.

    The paper leaves open how to choose s. Raises ValueError when `share` is not in [0,1].
    """
    if not 0 <= share <= 1:
        raise ValueError(f"the share of attended pixels is {share:g}: give a number from 0 to 1, such as 0.1")
    allowed = int(share * distance.numel())
    if allowed == 0 or allowed == distance.numel():
        return math.inf if allowed else 0.0
    highest = distance.float().flatten().kthvalue(distance.numel() - allowed).values.item()
    return 0.5 / max(highest, MIN_DISTANCE)


class FGMA(nn.Module):
    """F_out = concat(F_flow, M, F_att): F_flow = W(F_n, flow), F_att = attention with Q = P_q(F_in M), K = P_k(F_n),
    V = P_v(F_n), 0 where M is 0.

    The paper leaves the kind of attention open; its cost must follow M. Here it is windowed and computed only for
    windows that contain a masked pixel. Each attends to one box of the neighbour: the window shifted by its rounded
    median flow, with a margin of one window on all sides, moved inside the frame. Scores are cosines of queries and
    keys (features of noisy frames differ in length) times a learned factor, minus a learned penalty on the distance to
    the position that the flow gives, which decides between similar positions (as ALiBi, Press et al. 2022). Always in
    single precision, as the same weights may be applied to pixels and positions, see `forward`.
    """

    def __init__(self, width: int, window: int = 8):
        super().__init__()
        self.window = window
        self.query, self.key, self.value = (nn.Conv2d(width, width, 1) for _ in range(3))
        self.sharpness = nn.Parameter(torch.tensor(math.log(20.0)))
        self.price = nn.Parameter(torch.tensor(math.log(0.5)))  # of one pixel of distance

    def forward(
        self,
        features: torch.Tensor,
        neighbour: torch.Tensor,
        flow: torch.Tensor,
        mask: torch.Tensor,
        carried: torch.Tensor | None = None,
        origin: tuple[int, int] = (0, 0),
    ) -> torch.Tensor:
        """features, neighbour (B,C,H,W); flow (B,2,H,W) to the neighbour; mask (B,1,H,W) of 0 and 1 -> float32
        (B,2C+1,H,W).

        carried (B,P,H,W): further planes of the neighbour to which the attention weights are applied; they are appended
        to the result, which then has 2C+1+P channels. origin: row and column of these features in a larger map, when
        they are a tile of it, so that its windows are the whole map's.
        """
        warped = warp(neighbour.float(), flow)
        with in_float32(features.device):
            found = self.attend(features.float(), neighbour.float(), flow.float(), mask.float(), carried, origin)
        return torch.cat([channels_last(x) for x in (warped, mask.float(), found)], -1).movedim(-1, 1)

    def attend(self, features, neighbour, flow, mask, carried, origin) -> torch.Tensor:
        """F_att and the attended planes `carried`, (B,C+P,H,W)."""
        h, w = features.shape[-2:]
        grid = WindowGrid((h, w), self.window, origin)
        active = grid.cut(mask, "constant").amax((3, 4)) > 0  # (B,rows,columns) of windows
        planes = 0 if carried is None else carried.shape[1]
        found = features.new_zeros(*active.shape, self.window**2, features.shape[1] + planes)
        if active.any():
            places = active.nonzero()
            boxes = grid.boxes(places[:, 1:], grid.cut(flow)[active])
            # Not masked before: results outside of the mask are 0 in the end, and queries do not influence each other.
            queries = F.linear(grid.cut(features)[active], self.query.weight.flatten(1), self.query.bias)
            keys, values = rows_of(self.key(neighbour)), rows_of(self.value(neighbour))
            values = values if carried is None else torch.cat((values, rows_of(carried)), 1)
            queries, keys = F.normalize(queries, dim=-1), F.normalize(keys, dim=-1)
            found[active] = self.attend_windows(queries, keys, values, *boxes, places[:, 0] * h * w)
        return grid.join(found) * mask

    def attend_windows(self, queries, keys, values, down, across, index, first) -> torch.Tensor:
        """Attention of A windows: queries (A,Q,C); keys, values (B H W, ...), one row per pixel; the others as of
        `WindowGrid.boxes`: K positions of a box, whose rows are index (A,K), from row `first` (A,) on."""
        found, batch = [], max(1, PAIRS // (queries.shape[1] * index.shape[1]))
        sharpness, price = self.sharpness.exp(), self.price.exp()
        for k in range(0, len(queries), batch):
            chunk = slice(k, k + batch)
            rows = index[chunk] + first[chunk, None]
            scores = sharpness * queries[chunk] @ keys[rows].mT
            distance = (down[chunk, :, None, :, None] + across[chunk, None, :, None]).sqrt_().flatten(3).flatten(1, 2)
            found.append(torch.addcmul(scores, distance, price, value=-1).softmax(-1) @ values[rows])
        return torch.cat(found)


def rows_of(x: torch.Tensor) -> torch.Tensor:
    """(B,C,H,W) as one row per pixel, (B H W,C)."""
    return rearrange(x, "b c h w -> (b h w) c")


class WindowGrid:
    """A map of `size` (height, width) cut into square windows of `side` pixels; see `FGMA.forward` for `origin`."""

    def __init__(self, size: tuple[int, int], side: int, origin: tuple[int, int] = (0, 0)):
        self.size, self.side = size, side
        self.before = tuple(o % side for o in origin)
        self.after = tuple(-(n + b) % side for n, b in zip(size, self.before, strict=True))

    def cut(self, x: torch.Tensor, padding: str = "replicate") -> torch.Tensor:
        """(B,C,H,W) -> (B,rows,columns,side^2,C), with incomplete windows padded."""
        edges = (self.before[1], self.after[1], self.before[0], self.after[0])
        x = F.pad(x, edges, mode=padding) if any(edges) else x
        return rearrange(x, "b c (rows y) (columns x) -> b rows columns (y x) c", y=self.side, x=self.side)

    def join(self, windows: torch.Tensor) -> torch.Tensor:
        """The inverse of `cut`, padding cropped."""
        x = rearrange(windows, "b rows columns (y x) c -> b (rows y) (columns x) c", y=self.side)
        (top, left), (height, width) = self.before, self.size
        return x[:, top : top + height, left : left + width].movedim(-1, 1)

    def boxes(self, places: torch.Tensor, flow: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Boxes that the windows at `places` (A,2), row and column of the grid, attend to; flow (A,Q,2) of their
        pixels.

        Returns squared distances along either axis, (A,side,h) and (A,side,w), of the positions that the window's median
        flow gives its rows and columns from those of its box; and the indices (A,h w) of the box in the flattened map."""
        device = flow.device
        shift = flow.detach().median(1).values.round().flip(-1).long()  # y first
        expected = places * self.side - torch.tensor(self.before, device=device) + shift
        axes, squares = [], []
        for axis, length in enumerate(self.size):
            reach, corner = min(3 * self.side, length), expected[:, axis]
            first = (corner - self.side).clamp(0, length - reach)
            axes.append(first[:, None] + torch.arange(reach, device=device))
            own = corner[:, None] + torch.arange(self.side, device=device)
            squares.append((own[:, :, None] - axes[-1][:, None]).float().square())
        return squares[0], squares[1], (axes[0][:, :, None] * self.size[1] + axes[1][:, None]).flatten(1)
