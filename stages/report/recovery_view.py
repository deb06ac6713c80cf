"""The Recovery Report as text and as a picture."""

import math

import torch

from ...hdr.draw.text import PAPER, resized, text, text_size
from ...hdr.sequence import CandidateSet, ExposureSequence
from ...hdr.tonemap import mu_law
from .recovery import KINDS, OUTCOMES, Recovery, score_pixels

WIDTH, MAX_HEIGHT = 1280, 900  # of the photograph
BARS = 130  # pixels, height of a chart
FILLED = ((1.0, 0.72, 0.1), (0.2, 0.65, 1.0))  # of clipped pixels, of those below the noise floor
OTHERS = ((0.35, 0.75, 0.4), (0.9, 0.2, 0.85), (0.9, 0.15, 0.15))  # confirmed, unsupported, left


def recovery_text(result: Recovery) -> str:
    """The report in sentences, for every exposure and for the clip."""
    lines = []
    if not 0.8 <= result.gain <= 1.25:
        lines.append(
            f"WARNING: where the clip is well exposed the HDR is {result.gain:.2f} times as bright as the clip, so the figures "
            "are not meaningful: wire HDR on the scale where 1.0 is the clipping of the shortest exposure."
        )
    exposures = torch.unique(result.exposures)
    for k, kind in enumerate(KINDS):
        lines.append(f"Pixels that are {kind} in the frame as captured:")
        for e in exposures:
            lines.append(f"  exposure x{float(e):.3g}: " + _sentence(result, k, result.exposures == e))
        lines.append("  whole clip: " + _sentence(result, k, torch.ones_like(result.exposures, dtype=torch.bool)))
    worst = int(_unfilled(result).argmax())
    lines.append(
        f"Most left or unsupported: frame {worst}, {100 * float(_unfilled(result)[worst]):.1f} % of its pixels."
    )
    if math.isfinite(result.flicker):
        lines.append(
            f"Period-locked flicker: {100 * result.flicker:.2f} % (how far frames of one exposure lie from the mean "
            "brightness, in the mu-law domain; 0 = steady)."
        )
    if result.verified:
        lines.append(
            "Filled: differs from the frame alone and agrees with a valid, well-exposed measurement of another exposure. "
            "Confirmed: the other exposure agrees with the frame alone. Unsupported: differs, but no valid measurement "
            "agrees: the confidence of the flow was low there, or the value is invented, smoothed or ghosted. Left: as in "
            "the frame alone."
        )
    else:
        lines.append(
            "No candidates are connected, so the report can only state what was changed, not whether it was measured: "
            "connect the candidates that the HDR was merged from."
        )
    return "\n".join(lines)


def _sentence(result: Recovery, kind: int, chosen: torch.Tensor) -> str:
    shares = result.shares[chosen, kind].mean(0)
    total = float(shares.sum())
    frames = f"{int(chosen.sum())} frames, {100 * total:.2f} % of the pixels"
    if total < 5e-5:
        return f"{int(chosen.sum())} frames, none."
    filled, confirmed, unsupported, left = (100 * shares / total).tolist()
    if not result.verified:
        return f"{frames}; {filled:.1f} % of them were changed, {left:.1f} % left."
    seen = 100 * float(result.seen[chosen, kind].mean()) / total
    return (
        f"{frames}; another exposure saw {seen:.1f} % of them. Filled {filled:.1f} %, confirmed {confirmed:.1f} %, "
        f"unsupported {unsupported:.1f} %, left {left:.1f} %."
    )


def _unfilled(result: Recovery) -> torch.Tensor:
    """Share of each frame's pixels that are unsupported or left: (T,)."""
    return result.shares[..., 2:].sum((1, 2))


def recovery_picture(
    sequence: ExposureSequence, hdr, candidates: CandidateSet | None, result: Recovery, frame: int = -1
) -> torch.Tensor:
    """One frame with the outcome of its pixels in colour, a legend, and all frames as bars over time: (1,h,1280,3).

    `frame` -1 selects the one with the most clipped and noisy pixels. Raises ValueError when there is no such frame.
    """
    if frame >= len(sequence):
        raise ValueError(
            f"frame {frame} is not in the clip, which has frames 0 to {len(sequence) - 1}: choose one of them"
        )
    t = frame if frame >= 0 else int(result.shares.sum((1, 2)).argmax())
    scale = min(WIDTH / sequence.size[1], MAX_HEIGHT / sequence.size[0])
    height, width = (max(round(s * scale), 1) for s in sequence.size)
    left = (WIDTH - width) // 2
    photograph = torch.full((height, WIDTH, 3), PAPER)
    photograph[:, left : left + width] = resized(_tinted(sequence, hdr, candidates, t), height, width)
    text(photograph, f"frame {t}, exposure x{float(sequence.exposures[t]):.3g}", 14, 14, 16, shadow=True)
    charts = [_bars(result.shares[:, k], k) for k in range(len(KINDS))]
    return torch.cat([photograph, _legend(result.verified), *charts])[None].clamp(0, 1)


def _colours(kind: int) -> torch.Tensor:
    return torch.tensor((FILLED[kind], *OTHERS))


def _tinted(sequence, hdr, candidates, t: int) -> torch.Tensor:
    """Frame t in greys, clipped and noisy pixels in the colour of their outcome: (H,W,3)."""
    kind, outcome, _ = (x[0] for x in score_pixels(sequence, hdr, candidates, [t]))
    peak = hdr[t].float().nan_to_num().amax().clamp(min=1e-6)
    grey = mu_law(hdr[t].float().nan_to_num() / peak, 500.0).mean(-1, keepdim=True).expand(-1, -1, 3)
    palette = torch.stack([_colours(0), _colours(1)])  # (kind, outcome, 3)
    tint = palette[kind.clamp(min=0), outcome.clamp(min=0)] * (0.5 + 0.5 * grey)
    return torch.where((kind >= 0)[..., None], tint, grey * 0.8)


def _legend(verified: bool) -> torch.Tensor:
    strip = torch.full((44, WIDTH, 3), PAPER)
    verb = "filled" if verified else "changed"
    entries = [(f"clipped, {verb}", FILLED[0]), (f"noise, {verb}", FILLED[1]), *zip(OUTCOMES[1:], OTHERS, strict=True)]
    if not verified:
        entries = [entries[0], entries[1], entries[4]]
    x = 14
    for words, colour in entries:
        strip[14:30, x : x + 16] = torch.tensor(colour)
        text(strip, words, x + 26, 15, 14)
        x += 26 + text_size(words, 14)[0] + 40
    return strip


def _bars(shares: torch.Tensor, kind: int) -> torch.Tensor:
    """Stacked bars, one per frame, of shares (T,4) of its pixels, on a scale of their own: (BARS + 40, WIDTH, 3)."""
    chart = torch.full((BARS + 40, WIDTH, 3), PAPER)
    top = float(shares.sum(1).max())
    text(chart, f"{KINDS[kind]}: share of each frame's pixels, full height = {100 * top:.1f} %", 14, 8, 14)
    area = chart[34 : 34 + BARS]
    area[:] = PAPER * 0.5
    if top == 0:
        return chart
    columns = torch.arange(WIDTH) * len(shares) // WIDTH  # the frame that each column of pixels shows
    edges = (shares.cumsum(1) / top * BARS).round()[columns]  # (WIDTH,4)
    level = torch.arange(BARS, 0, -1)[:, None].float()  # from the top row down
    lower = torch.zeros(WIDTH)
    for colour, upper in zip(_colours(kind), edges.unbind(1), strict=True):
        area[(level > lower) & (level <= upper)] = colour
        lower = upper
    if len(shares) <= WIDTH // 6:
        area[:, 1:][:, columns[1:] != columns[:-1]] = PAPER * 0.5
    return chart
