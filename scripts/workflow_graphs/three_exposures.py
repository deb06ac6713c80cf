"""Three exposures in turn."""

from .compact import compact

INTRO = """**Frames that go short, middle, long … become HDR.** Drop your clip on the loader and press Run.

**pattern** has three exposures in the order of the frames, here in EV; `auto` measures them. Fast motion is
harder than with two."""

GRAPH = compact("2 HDR from three exposures", INTRO, "sample_three_exposures.mp4", "-4, -2, 0")
