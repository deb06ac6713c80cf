"""What the notes in workflows/*.json say; see build_workflows.py."""

LINEAR_NOTE = """The wire from **{}** carries scene-linear light: 1.0 is where the shortest exposure
clips.

*Save HDR Sequence* writes it as OpenEXR, by default with 1.0 at the white of the longest exposure, so that recovered
highlights lie above 1. Everything after *Mu-Law Tonemap* and *Exposure Strip* is for the eye only."""

LOOK_NOTE = """- **Exposure Strip**: going down to -4 EV, do lamps, sky and sun show detail where the long exposure
  was white?
- **Recovery Report**: how much of the clipped and of the noise-buried area another exposure really filled.
- **Moving edges**: doubled or smeared edges are ghosts. Raise *ghost_rejection* on Weighted Merge.
- *Detect Exposure Pattern* is there to compare. Wire its **exposures** on instead of the loader's when frames were
  dropped and the pattern that you wrote no longer fits.
- **Flicker** from frame to frame: the measured ratio or the response is wrong; see group 2."""

F2HDR_LOOK_NOTE = """- **Exposure Strip**: going down to -4 EV, do lamps, sky and sun show detail where the long
  exposure was white?
- **Physical Motion Mask** shows the middle frame: white is what moves unlike the rest. Ghosts outside of it come from the
  flow; look at it with *Flow View*.
- What did each step add? Wire the **hdr** of *Coarse Fusion* to *Exposure Strip*, or choose a method without adapter in
  *Flow*.
- *Detect Exposure Pattern* is there to compare. Wire its **exposures** on instead of the loader's when frames were
  dropped and the pattern that you wrote no longer fits."""

TWO = """**Classical HDR, two exposures.** Video whose frames alternate short, long, short, long … becomes scene-linear
HDR, one HDR frame for every frame.

**Input**: a video or an image sequence, each frame whole and with one exposure. *path* names the small sample that
comes with the pack; put your own clip there, or connect *Load Video* and leave it empty.

**pattern** `auto` measures the exposures. If you know them, write them: `-3,0` (EV), `1/500,1/60` or `ISO 100,800`.
**response**: gamma2.2 for most delivered video, the log curve for log footage.

Results lie in ComfyUI's output folder under *HDRWeave*."""

THREE = """**Classical HDR, three exposures.** Video whose frames go short, middle, long, short, middle, long … becomes
scene-linear HDR, one HDR frame for every frame.

**Input**: a video or an image sequence with a period of three. *path* names the small sample that comes with the pack;
put your own clip there, or connect *Load Video* and leave it empty.

**pattern**: here -4, -2 and 0 EV; write yours in the order of the frames, as EV, times (`1/1000,1/250,1/60`) or ISO, or
`auto`. Each frame is completed from two frames on both sides, so fast motion is harder than with two exposures.

Results lie in ComfyUI's output folder under *HDRWeave*."""

F2HDR_INTRO = """**F2HDR** (CVPR 2026), with weights that come with the pack. Video whose frames alternate between two
exposures, or go through three in turn, becomes scene-linear HDR, one HDR frame for every frame.

**Input**: a video or an image sequence, each frame whole and with one exposure. *path* names the small sample that
comes with the pack; put your own clip there, or connect *Load Video* and leave it empty.

**pattern** `auto` measures the exposures. If you know them, write them: `-3,0` (EV), `1/500,1/60` or `ISO 100,800`.

Flow is corrected by a learned **adapter**, all frames are **fused**, a **mask** finds what moves, and the fusion is
**refined** there. Results lie in ComfyUI's output folder under *HDRWeave*."""

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

F2HDR_REFINED_INTRO = f"""**F2HDR, then Sequence Refinement**: the best result for its time, with weights that come with the
pack. Alternating exposures become scene-linear HDR, one HDR frame for every frame.
{FOOTAGE}
Frames are fused and refined one by one (F2HDR), then **corrected by those around them** (LoCAtion's second stage): less noise,
less flicker between exposures. Results lie in ComfyUI's output folder under *HDRWeave*."""

FLAGSHIP_INTRO = f"""**The flagship**: what was best in four published systems, combined, with weights that come
with the pack. Alternating exposures become scene-linear HDR, one HDR frame for every frame.
{FOOTAGE}
Neighbours are **aligned** by flow and by attention where flow fails (DeAltHDR) and **calibrated** (LRHDR), and two systems
**fuse** them (F2HDR, DeAltHDR). All of these are **voted** on pixel by pixel (LRHDR); the sequence is **refined** (LoCAtion).
Results lie in ComfyUI's output folder under *HDRWeave*."""

LRHDR_INTRO = f"""**LRHDR** (CVPR 2026), with weights that come with the pack. Alternating exposures become scene-linear
HDR, one HDR frame for every frame.
{FOOTAGE}
The missing exposure is **interpolated**, it and the frame are **calibrated** to radiance without exposure, and candidates,
six with two exposures, **vote** at every pixel: the frame, its neighbours as they are, the interpolated one, and the two
calibrated ones. Results lie in ComfyUI's output folder under *HDRWeave*."""

MIX_INTRO = f"""**Methods mixed**: neighbours warped along the classical flow, neighbours aligned by FGMA (DeAltHDR), these
calibrated by ACCR (LRHDR), and the finished result of F2HDR are candidates of one vote. Take any of them away, or wire
others in: another pack's HDR frames are an IMAGE, too.
{FOOTAGE}
**Combine Candidates** takes eight sets and IMAGEs, and more through another one. The vote map says who is right where.
Results lie in ComfyUI's output folder under *HDRWeave*."""

DEALTHDR_INTRO = f"""**DeAltHDR** (ICLR 2026), with weights that come with the pack. Noisy and blurred frames of alternating
exposure become scene-linear HDR, one HDR frame for every frame.
{FOOTAGE}
**s** on *DeAltHDR Reconstruction* is the knob between quality and time: 0 = flow alone, 15 = the paper's balance, higher
attends to more; or choose *share of pixels* to attend to the worst ones alone. For your own camera: *Adapt to Footage* between
*Flow* and the **model** input. Results lie in ComfyUI's output folder under *HDRWeave*."""

DEEPHDRVIDEO_INTRO = f"""**DeepHDRVideo** (ICCV 2021), with weights that come with the pack. Alternating exposures become
scene-linear HDR, one HDR frame for every frame.
{FOOTAGE}
Frames are **blended** along a flow that a network corrects, and where a frame is badly exposed the result is **refined** by
features of its neighbours. The paper steadies hand-held clips first: put *Global Alignment* between the loader and *Exposure
Normalization*. Results lie in ComfyUI's output folder under *HDRWeave*."""

LOCATION_INTRO = f"""**LoCAtion**, with weights that come with the pack: video of one exposure, the backbone, takes range from
darker and brighter frames, the anchors, without warping them. Then the whole sequence is refined.
{FOOTAGE}
Made for clips that are mostly of one exposure: write their pattern, such as `0,0,-2,0,0,2`, or connect a backbone and stills
to *Collaborative Fusion*. In an ordinary alternating clip, as here, each second frame of the backbone (of three exposures two
thirds) is **estimated along the flow**, with its errors. Results lie in ComfyUI's output folder under *HDRWeave*."""

SYSTEM_LOOK_NOTE = """- **Exposure Strip**: going down to -4 EV, do lamps, sky and sun show detail where the long
  exposure was white?
- **Ghosts** at moving edges: look at the flow with *Flow View*; things that all neighbours hide cannot be brought back.
- **Recovery Report**: how much of the clipped and of the noise-buried area another exposure really filled.
- What did each step add? Wire the **hdr** of an earlier node to *Exposure Strip*.
- *Detect Exposure Pattern* is there to compare. Wire its **exposures** on instead of the loader's when frames were
  dropped and the pattern that you wrote no longer fits."""
