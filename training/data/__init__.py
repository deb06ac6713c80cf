"""Shards of clips, what is precomputed beside them, and batches from them."""
