"""The pack's own wire types (see hdr/sequence.py for what travels on them) and words that many tooltips share."""

from comfy_api.latest import io

Exposures = io.Custom("HDRWEAVE_EXPOSURES")
Flow = io.Custom("HDRWEAVE_FLOW")
Candidates = io.Custom("HDRWEAVE_CANDIDATES")

CATEGORY = "HDRWeave"
HDR = "Scene-linear Rec.709, never clamped; 1.0 is where the shortest exposure clips."
DISPLAY = "Display-encoded, in [0,1], for Preview and Save Image."
