"""The pack's own base flow network."""
