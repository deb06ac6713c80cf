"""A backbone with anchors from two or three streams, from a clip and stills, or from alternating exposures.

In an alternating clip, backbone frames are missing at the times of its other exposures. They are estimated
(`models.location.backbone`) along flow between frames of different exposure, which LoCAtion was designed to avoid. Each
estimated frame (half of the frames with two exposures, two thirds with three) needs DIS flow to two frames in both directions.
Errors of the flow become part of the backbone, with which anchors are compared; where the backbone clips, its motion comes from
shorter exposures or is extrapolated. A clip that was shot with a backbone has none of these problems.
"""

from bisect import bisect
from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F

from ...hdr.anchors import AnchoredSequence, Anchors
from ...hdr.masks import well_exposed
from ...hdr.scratch import allocate
from ...hdr.sequence import ExposureSequence, LazyFrames
from ...models.location.backbone import estimate_backbone
from ...models.lrhdr.interpolate import ExposureInterpolation
from ..clip.load import DEFAULT_FPS, image_clip, named_response
from ..clip.normalize import normalize
from ..flow.estimate import flow_pair, needed
from ..flow.pair_flow import FINE, PairFlow, flow_scale
from ..runtime.networks import device_of
from ..runtime.per_frame import run_per_frame, to_frame
from ..runtime.tiles import in_tiles
from ..runtime.windows import Progress, quiet, spread


def backbone_and_stills(
    backbone,
    exposure: float,
    stills: Sequence[tuple],
    response: str = "gamma2.2",
    times: Sequence[Sequence[float]] | None = None,
) -> AnchoredSequence:
    """A clip of one exposure and frames of others: a second camera, a second stream of the same one, or stills.

    backbone: images (T,H,W,C), as `image_clip` takes them. stills: (images (K,H,W,C), exposure) for each other
    exposure; exposures in any unit proportional to time. response: of all images, a name or the path of a LUT. times:
    of the stills of each exposure, in frames of the backbone; by default K stills are at the middles of K equal parts
    of the clip. Raises ValueError where these do not fit each other.
    """
    if not stills:
        raise ValueError("no anchors are given: add stills of at least one other exposure")
    clips = [image_clip(backbone, source="backbone")]
    clips += [image_clip(images, source=f"anchors {k}") for k, (images, _) in enumerate(stills, 1)]
    exposures = [float(exposure), *(float(e) for _, e in stills)]
    if min(exposures) <= 0 or len(set(exposures)) < len(exposures):
        raise ValueError(f"backbone and anchors have the exposures {exposures}: each must be above 0 and of its own")
    for clip in clips[1:]:
        if clip.frames.shape[1:] != clips[0].frames.shape[1:]:
            sizes = [f"{c.frames.shape[2]}x{c.frames.shape[1]}" for c in (clips[0], clip)]
            raise ValueError(f"the backbone is {sizes[0]}, the {clip.source} are {sizes[1]}: give frames of one size")
    curve, count = named_response(response), len(clips[0].frames)
    moments = times or [[(k + 0.5) * count / len(c.frames) - 0.5 for k in range(len(c.frames))] for c in clips[1:]]
    if [len(m) for m in moments] != [len(c.frames) for c in clips[1:]]:
        raise ValueError(f"{[len(m) for m in moments]} times are given for {[len(c.frames) for c in clips[1:]]} stills")

    def normalized_frames(clip) -> torch.Tensor | LazyFrames:
        return normalize(ExposureSequence(clip.frames, torch.ones(len(clip.frames)), curve, 1)).frames

    anchors = tuple(
        Anchors(normalized_frames(clip), torch.tensor(when, dtype=torch.float32), e / min(exposures))
        for clip, e, when in zip(clips[1:], exposures[1:], moments, strict=True)
    )
    warnings = tuple(warning for clip in clips for warning in clip.warnings)
    return AnchoredSequence(
        normalized_frames(clips[0]), exposures[0] / min(exposures), anchors, DEFAULT_FPS, "backbone", warnings
    )


def backbone_exposure(sequence: ExposureSequence) -> float:
    """The backbone's exposure of a normalized clip: the most frequent one of a period; of several, the middle one; of
    two in the middle, the one with higher well-exposedness. That of the survey where there is one. Raises ValueError for
    a clip of one exposure."""
    if sequence.survey is not None:
        return sequence.survey.backbone
    whole = max(len(sequence) // sequence.period, 1) * sequence.period
    values, counts = sequence.exposures[:whole].unique(return_counts=True)
    if len(values) < 2:
        raise ValueError("all frames of this clip have the same exposure: declare which are anchors, or give stills")
    often = (counts * sequence.period / whole).round()
    values = values[often == often.max()]
    middle = values[(len(values) - 1) // 2 : len(values) // 2 + 1].tolist()
    sample = spread(len(sequence), 12)

    def exposed(e: float) -> float:
        chosen = [t for t in sample if sequence.exposures[t] == e] or (sequence.exposures == e).nonzero()[0].tolist()
        return float(well_exposed(sequence.frames[chosen]).mean())

    return max(middle, key=exposed) if len(middle) > 1 else middle[0]


def from_exposures(
    sequence: ExposureSequence,
    network: ExposureInterpolation,
    backbone: float | None = None,
    progress: Progress = quiet,
) -> AnchoredSequence:
    """Backbone and anchors from a clip of several exposures: a backbone frame for each frame, captured or estimated,
    and frames of the other exposures as anchors at their times.

    sequence: any exposures, for instance with the pattern 0,0,-2,0,0,+2. network: on the device where it is. backbone: its
    exposure, as in `sequence.exposures`; None: `backbone_exposure`. Raises ValueError where no frame has it.
    """
    sequence = normalize(sequence)
    e = backbone_exposure(sequence) if backbone is None else float(backbone)
    own = (sequence.exposures - e).abs() < 1e-3 * e
    if not own.any() or own.all():
        found = sorted(set(sequence.exposures.tolist()))
        raise ValueError(
            f"the backbone's exposure is {e:.4g}, the frames have {found}: choose one of these, of several"
        )
    captured, missing = own.nonzero()[:, 0].tolist(), (~own).nonzero()[:, 0].tolist()
    made = allocate((len(missing), *sequence.frames.shape[1:]))
    device = device_of(network)
    pairs = PairFlow(sequence, FINE, device=device)

    def inputs(k: int):
        place = bisect(captured, missing[k])
        before, after = captured[max(place - 1, 0)], captured[min(place, len(captured) - 1)]  # the same at the ends
        pairs.forget(before)
        return _between(sequence, pairs, missing[k], before, after, device)

    def estimate(*given) -> torch.Tensor:
        return in_tiles(sequence.size, partial(estimate_backbone, network), *given)

    for k, (codes,) in run_per_frame(len(missing), inputs, estimate, device, progress):
        made[k] = to_frame(codes)
    stored = {t: k for k, t in enumerate(missing)}

    def read(indices: list[int]) -> torch.Tensor:
        out = sequence.frames[indices].clone()
        for n, t in enumerate(indices):
            if t in stored:
                out[n] = made[stored[t]]
        return out

    anchors = []
    for value in sequence.exposures[missing].unique().tolist():
        at = [t for t in missing if sequence.exposures[t] == value]
        frames = LazyFrames((len(at), *sequence.frames.shape[1:]), lambda k, at=at: sequence.frames[[at[i] for i in k]])
        anchors.append(Anchors(frames, torch.tensor(at, dtype=torch.float32), value))
    given = sequence.fps, sequence.source, sequence.warnings, sequence.first
    return AnchoredSequence(LazyFrames(sequence.frames.shape, read), e, tuple(anchors), *given)


def _between(sequence: ExposureSequence, pairs: PairFlow, t: int, before: int, after: int, device):
    """Inputs of `estimate_backbone` for frame t, from the backbone frames before and after. device: that of `pairs`."""
    size = sequence.size
    pairs.estimate(needed(pairs, t, before, after))
    motion = flow_pair(pairs, t, before, after)
    flows, confidence = (
        F.interpolate(x, size=size, mode="bilinear", align_corners=False)[None]
        for x in (motion[:, :2] * flow_scale(pairs.size, size, device), motion[:, 2:])
    )
    reference, *both = sequence.frames[[t, before, after]].to(device, torch.float32).movedim(-1, 1)
    exposures = sequence.exposures[[t, before]][None].to(device)
    share = (t - before) / (after - before) if after != before else 0.5
    return reference[None], torch.stack(both)[None], exposures, flows, confidence, share
