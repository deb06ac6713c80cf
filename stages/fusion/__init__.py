"""Many estimates of a frame to one: merge, vote, refinement."""
