"""Text of the notes that several workflows have."""

LINEAR_NOTE = """The wire from **{}** carries scene-linear light: 1.0 is where the shortest exposure
clips.

*Save HDR Sequence* writes it as OpenEXR, by default with 1.0 at the white of the longest exposure, so that recovered
highlights lie above 1. What *HDR Look* and *Exposure Strip* give is for
the eye only."""

LOOK_NOTE = """- **Exposure Strip**: going down to -4 EV, do lamps, sky and sun show detail where the long exposure
  was white?
- **Recovery Report**: how much of the clipped and the noisy area was really filled from another exposure.
- **Moving edges**: doubled or smeared edges are ghosts. Raise *ghost_rejection* on Weighted Merge.
- *Detect Exposure Pattern* is there to compare. Wire its **exposures** on instead of the loader's when frames were
  dropped and the pattern that you wrote no longer fits.
- **Flicker** from frame to frame: the measured ratio or the response is wrong; see group 2."""

SYSTEM_LOOK_NOTE = """- **Exposure Strip**: going down to -4 EV, do lamps, sky and sun show detail where the long
  exposure was white?
- **Ghosts** at moving edges: look at the flow with *Flow View*; things that all neighbours hide cannot be brought back.
- **Recovery Report**: how much of the clipped and the noisy area was really filled from another exposure.
- What did each step add? Wire the **hdr** of an earlier node to *Exposure Strip*.
- *Detect Exposure Pattern* is there to compare. Wire its **exposures** on instead of the loader's when frames were
  dropped and the pattern that you wrote no longer fits."""

VOTE_LOOK_NOTE = """- **Sparse Fusion** shows the vote map of the middle frame: a colour for each candidate, and its share.
  What has no share can be left out.
- **Exposure Strip**: going down to -4 EV, do lamps, sky and sun show detail where the long exposure was white?
- **Ghosts** at moving edges: which candidate voted there? Look at its flow with *Flow View*. *alpha* near 2 takes fewer.
- What did each step add? Wire the **hdr** of an earlier node to *Exposure Strip*.
- *Detect Exposure Pattern* is there to compare. Wire its **exposures** on instead of the loader's when frames were
  dropped and the pattern that you wrote no longer fits."""

FOOTAGE = """
**Input**: a video or an image sequence, each frame whole and with one exposure. *path* names the small sample that
comes with the pack; put your own clip there, or connect *Load Video* and leave it empty.

**pattern** `auto` measures the exposures. If you know them, write them: `-3,0` or `-4,-2,0` (EV), `1/500,1/60` or
`ISO 100,800`. Two exposures and three go through the same graph.
"""
