"""The code values of a clip in the depth of its file: 8-bit footage takes a quarter of the space of float32."""

import numpy as np
import torch

from ..scratch import RAM_LIMIT, allocate
from ..sequence import LazyFrames

CHUNK_BYTES = RAM_LIMIT  # frames are stored in chunks, because many containers do not know their length
# Chunks on disk are so many times as large: each is an open file, of which macOS allows a process 256.
ON_DISK = 8
_CARRIER = {np.dtype(np.uint8): torch.uint8, np.dtype(np.uint16): torch.int16, np.dtype(np.float32): torch.float32}


class FrameStore:
    """Frames (H,W,3) of uint8, uint16 or float32, appended one by one; the first chunk in RAM, the rest on disk."""

    def __init__(self):
        self._chunks: list[np.ndarray] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, frame: np.ndarray) -> None:
        """Add a frame. Raises ValueError when its size or depth differs from the first one's."""
        if not self._chunks:
            self._shape, self._dtype = frame.shape, frame.dtype
            self._per_chunk = max(1, CHUNK_BYTES // frame.nbytes)
        if frame.shape != self._shape:
            raise ValueError(
                f"frame {self._count} is {frame.shape[1]}x{frame.shape[0]}, the first is "
                f"{self._shape[1]}x{self._shape[0]}: all frames of a clip must have one size"
            )
        if frame.dtype != self._dtype:
            raise ValueError(
                f"frame {self._count} is {frame.dtype}, the first is {self._dtype}: all frames must have one bit depth"
            )
        chunk, place = self._place(self._count)
        if chunk == len(self._chunks):
            self._chunks.append(self._new_chunk())
        self._chunks[chunk][place] = frame
        self._count += 1

    def frames(self) -> LazyFrames:
        """The stored frames as a frame source: float32 (T,H,W,3), integers scaled so that the largest code is 1."""
        white = np.float32(1 if self._dtype == np.float32 else np.iinfo(self._dtype).max)

        def read(indices: list[int]) -> torch.Tensor:
            out = torch.empty((len(indices), *self._shape), dtype=torch.float32)
            for k, i in enumerate(indices):
                chunk, place = self._place(i)
                np.divide(self._chunks[chunk][place], white, out=out[k].numpy(), dtype=np.float32)
            return out

        return LazyFrames((self._count, *self._shape), read)

    def _place(self, index: int) -> tuple[int, int]:
        """The chunk of a frame, and its place there."""
        if index < self._per_chunk:
            return 0, index
        chunk, place = divmod(index - self._per_chunk, ON_DISK * self._per_chunk)
        return chunk + 1, place

    def _new_chunk(self) -> np.ndarray:
        count = self._per_chunk * (ON_DISK if self._chunks else 1)
        shape, dtype = (count, *self._shape), _CARRIER[self._dtype]
        carrier = allocate(shape, dtype, ram_limit=0 if self._chunks else None)
        return carrier.numpy().view(self._dtype)  # the array keeps the tensor, and so the file, alive
