"""Vision-RWKV (Duan et al. 2024): attention whose cost is linear in the number of tokens, in pure PyTorch."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

CHUNK = 32  # tokens of a cumulative sum
MAX_DECAY = 1.0  # nats per token
RANGE = 80.0  # largest difference of log weights in a chunk, in nats, that single precision resolves
EMPTY = -1e4  # log weight of an empty set of tokens
MIN_INITIAL_DECAY, MAX_INITIAL_DECAY = 0.25, 64.0  # of the first and the last channel before training, nats per frame

Mean = tuple[torch.Tensor, torch.Tensor]
"""A weighted mean of values: the logarithm of its total weight, and the mean."""


def joined(a: Mean, b: Mean) -> Mean:
    """The weighted mean over two sets of values, given the mean over each."""
    return torch.logaddexp(a[0], b[0]), torch.lerp(b[1], a[1], torch.sigmoid(a[0] - b[0]))


def before(keys: torch.Tensor, values: torch.Tensor, decay: torch.Tensor) -> list[Mean]:
    """Weighted means over all tokens i < t before each token t, with weights exp(k_i - decay (t - 1 - i)): a prefix scan.

    keys, values (B,N,C), decay (C,). Returns two means (B,N,C), still to be joined: over the previous tokens of the same
    chunk, by cumulative sums, and over all previous chunks, by doubling the number of chunks that are joined.
    """
    n = keys.shape[1]
    k, v = (  # (B,M,CHUNK,C)
        rearrange(F.pad(x, (0, 0, 0, -n % CHUNK), value=fill), "b (m chunk) c -> b m chunk c", chunk=CHUNK)
        for x, fill in ((keys, EMPTY), (values, 0.0))
    )
    place = torch.arange(CHUNK, device=k.device, dtype=k.dtype)[:, None]
    rising = k + decay * place
    top = rising.amax(2, keepdim=True)
    weight = torch.exp((rising - top).clamp(min=-RANGE))
    total = weight.cumsum(2)
    mean = (weight * v).cumsum(2) / total
    log_total = total.log() + top - decay * place  # of each token and those before it in its chunk

    level, carried = log_total[:, :, -1], mean[:, :, -1]  # (B,M,C)
    step = 1
    while step < level.shape[1]:
        earlier = level[:, :-step] - decay * (CHUNK * step), carried[:, :-step]
        later = joined((level[:, step:], carried[:, step:]), earlier)
        level, carried = (torch.cat((x[:, :step], y), 1) for x, y in zip((level, carried), later, strict=True))
        step *= 2
    level = F.pad(level[:, :-1], (0, 0, 1, 0), value=EMPTY)[:, :, None] - decay * place
    carried = F.pad(carried[:, :-1], (0, 0, 1, 0))[:, :, None].expand_as(v)
    inner = F.pad(log_total[:, :, :-1], (0, 0, 1, 0), value=EMPTY), F.pad(mean[:, :, :-1], (0, 0, 1, 0))
    in_order = "b m chunk c -> b (m chunk) c"
    return [(rearrange(a, in_order)[:, :n], rearrange(b, in_order)[:, :n]) for a, b in (inner, (level, carried))]


def bi_wkv(keys: torch.Tensor, values: torch.Tensor, decay: torch.Tensor, bonus: torch.Tensor) -> torch.Tensor:
    """The bidirectional WKV (Vision-RWKV, equation 4): keys, values (B,N,C), decay, bonus (C,) -> float32 (B,N,C).

    y_t is the mean of all values with the weights exp(k_i - decay (|t - i| - 1)), and exp(k_t + bonus) for i = t; decay in
    [0, MAX_DECAY] per token. The cost is linear in N: one scan in each direction, with logarithms of the weights. The result
    is exact if the keys of CHUNK neighbouring tokens differ by less than RANGE - CHUNK * decay, otherwise an approximation
    that is still a mean of the values.
    """
    keys, values, decay, bonus = (x.float() for x in (keys, values, decay, bonus))
    after = before(keys.flip(1), values.flip(1), decay)
    means = [*before(keys, values, decay), *((a.flip(1), b.flip(1)) for a, b in after), (keys + bonus, values)]
    weights = torch.stack([level for level, _ in means]).softmax(0)
    return (weights * torch.stack([mean for _, mean in means])).sum(0)


def q_shift(x: torch.Tensor) -> torch.Tensor:
    """The four quarters of the channels moved by one pixel right, left, down and up, zeros enter: (N,H,W,C)."""
    right, left, down, up = x.chunk(4, -1)
    return torch.cat(
        (
            F.pad(right[:, :, :-1], (0, 0, 1, 0)),
            F.pad(left[:, :, 1:], (0, 0, 0, 1)),
            F.pad(down[:, :-1], (0, 0, 0, 0, 1, 0)),
            F.pad(up[:, 1:], (0, 0, 0, 0, 0, 1)),
        ),
        -1,
    )


class Shifted(nn.Module):
    """x blended with its `q_shift` by learned weights for each of `count` uses: count times (B,T,H,W,C)."""

    def __init__(self, width: int, count: int):
        super().__init__()
        self.share = nn.Parameter(torch.full((count, width), 0.5))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        shifted = q_shift(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        return [torch.lerp(shifted, x, share.to(x)) for share in self.share]


class SpatialMix(nn.Module):
    """Attention of every token to all tokens of all frames: (B,T,H,W,C) -> the same.

    Changed against the paper:
    - Decay: it is per frame, not relative to the length of the sequence, so that the range of attention does not depend on the
      length of a window. It is at most MAX_DECAY per token.
    - Bonus: it is not divided by the number of tokens, which would make it negligible.
    """

    def __init__(self, width: int):
        super().__init__()
        self.shifted = Shifted(width, 3)
        self.key, self.value, self.receptance = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.out = nn.Linear(width, width, bias=False)
        first, last = torch.tensor([MIN_INITIAL_DECAY, MAX_INITIAL_DECAY]).log().tolist()
        self.log_decay = nn.Parameter(torch.linspace(first, last, width))
        self.bonus = nn.Parameter(torch.zeros(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for_key, for_value, for_receptance = self.shifted(x)
        decay = (self.log_decay.exp() / (x.shape[2] * x.shape[3])).clamp(max=MAX_DECAY)
        keys, values = (
            rearrange(layer(y), "b t h w c -> b (t h w) c")
            for layer, y in ((self.key, for_key), (self.value, for_value))
        )
        mixed = bi_wkv(keys, values, decay, self.bonus).view(x.shape)
        return self.out(torch.sigmoid(self.receptance(for_receptance)) * mixed)


class ChannelMix(nn.Module):
    """A gated layer with squared ReLU on each token: (B,T,H,W,C)."""

    def __init__(self, width: int):
        super().__init__()
        self.shifted = Shifted(width, 2)
        self.key, self.value = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)
        self.receptance = nn.Linear(width, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for_key, for_receptance = self.shifted(x)
        return torch.sigmoid(self.receptance(for_receptance)) * self.value(F.relu(self.key(for_key)).square())


class RWKVBlock(nn.Module):
    """Spatial and channel mix, each after a norm and with a scale that starts at 0: (B,T,H,W,C) float32."""

    def __init__(self, width: int):
        super().__init__()
        self.mixes = nn.ModuleList((SpatialMix(width), ChannelMix(width)))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in self.mixes)
        self.scales = nn.ParameterList(torch.zeros(width) for _ in self.mixes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for mix, norm, scale in zip(self.mixes, self.norms, self.scales, strict=True):
            x = x + scale * mix(norm(x)).float()
        return x
