"""One function per node: whole sequences in, whole sequences out."""
