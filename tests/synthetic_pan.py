"""Clips with exact radiance and flow, as synthesis makes them, of a texture that pans."""

import torch
from hdrweave.training.synthesis.clip import SyntheticClip
from hdrweave.training.synthesis.clips import EvaluationClip
from moving_texture import captured, radiance

SIZE = (48, 64)


def synthetic_pan(pattern=(1.0, 4.0), frames: int = 7, speed: float = 2.0, stops: float = 3) -> SyntheticClip:
    """A view of SIZE that moves right by `speed` pixels per frame, almost without noise."""
    light = 0.2 * radiance(frames, SIZE, speed=speed, stops=stops)
    exposures = [pattern[t % len(pattern)] for t in range(frames)]
    placements = torch.eye(3, dtype=torch.float64).repeat(frames, 1, 1, 1)
    placements[:, 0, 0, 2] = speed * torch.arange(frames)
    labels = torch.zeros(frames, *SIZE, dtype=torch.uint8)
    code = captured(light, exposures, level=1.0, noise=0.001)
    return SyntheticClip(light.clamp(max=1), code, torch.tensor(exposures), len(pattern), labels, placements)


def evaluation(clip: SyntheticClip) -> EvaluationClip:
    """The clip as the evaluator reads it from its folder."""
    return EvaluationClip("split/scene", clip.ldr, clip.exposures, clip.period, clip.hdr, clip.labels, clip.placements)
