"""Clips of frames in memory, loaded as the node loads connected images."""

from hdrweave.hdr.sequence import ExposureSequence
from hdrweave.stages.clip.load import expose, image_clip, interleave


def from_images(images, pattern="auto", response="gamma2.2", start=0, count=0, fps=None) -> ExposureSequence:
    """One interleaved clip of images (T,H,W,C) in [0,1]."""
    return expose(image_clip(images, start, count, fps), pattern, response)


def from_streams(streams, pattern="auto", fps=None) -> ExposureSequence:
    """Two or three parallel streams of images (T,H,W,C), one exposure each."""
    clips = [image_clip(images, fps=fps, source=f"stream {k}") for k, images in enumerate(streams, 1)]
    return expose(interleave(clips), pattern, period=len(clips))
