"""The classical pipeline on a clip of three exposures."""

from .classical_hdr import classical

THREE = """**Classical HDR, three exposures.** Video whose frames go short, middle, long, short, middle, long … becomes
scene-linear HDR, one HDR frame for every frame.

**Input**: a video or an image sequence with a period of three. *path* names the small sample that comes with the pack;
put your own clip there, or connect *Load Video* and leave it empty.

**pattern**: here -4, -2 and 0 EV; write yours in the order of the frames, as EV, times (`1/1000,1/250,1/60`) or ISO, or
`auto`. Each frame is completed from two frames on both sides, so fast motion is harder than with two exposures.

Results lie in ComfyUI's output folder under *HDRWeave*."""


GRAPH = classical("-4, -2, 0", "sample_three_exposures.mp4", THREE)
