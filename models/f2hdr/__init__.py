"""F2HDR (CVPR 2026): flow adapter, coarse fusion, physical motion mask, motion-guided refinement."""
