"""DeAltHDR (ICLR 2026): flow-guided masked attention and what is built on it."""
