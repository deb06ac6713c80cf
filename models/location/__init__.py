"""LoCAtion (Long-time Collaborative Attention, arXiv 2603.14377): the refinement of a whole HDR sequence."""
