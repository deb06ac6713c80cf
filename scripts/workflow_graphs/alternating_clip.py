"""The first template: a clip of alternating exposures."""

from .compact import compact

INTRO = """**A clip whose frames go short, long, short, long … becomes HDR.** Drop your clip on the loader and press Run.

If the exposures are known, write them into **pattern**: `-3,0` (EV) or `1/500,1/60`. `auto` measures them."""

GRAPH = compact("1 HDR from an alternating clip", INTRO)
