"""File formats: images, sequences, video, EXR, Radiance .hdr, LUTs."""
