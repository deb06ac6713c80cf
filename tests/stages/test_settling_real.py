"""Real clips, begun at every frame: none settles; what is put into them is told."""

import numpy as np
import pytest
from hdrweave.stages.clip.frame_gains import frame_gains
from hdrweave.stages.clip.settling import settling_frames
from hdrweave.stages.clip.statistics import clip_statistics
from hdrweave.training.evaluation.detect_real import decoded
from moving_texture import sequence

WINDOW = 24
SETTLING = np.log2([0.86, 0.90, 0.93, 0.95, 0.965, 0.975, 0.985, 0.99])


@pytest.mark.parametrize(("period", "folder"), [(2, "alternating_2exp"), (3, "alternating_3exp")])
def test_real_clips_settle_only_where_that_is_put_in(real_clips, period, folder):
    windows = false = told = 0
    for path in sorted((real_clips / folder).glob("*.mp4"))[::2]:
        frames = decoded(path, 60)
        gains = frame_gains(clip_statistics(sequence(frames)), np.arange(len(frames)) % period, period).gains
        for start in range(len(gains) - WINDOW + 1):
            part = gains[start : start + WINDOW]
            added = part + np.pad(SETTLING, (0, WINDOW - len(SETTLING)))
            windows, false = windows + 1, false + bool(settling_frames(part, period))
            told += bool(settling_frames(added, period))
    print(f"period {period}: {windows} windows, {false} settle, {told} told where settling is put in")
    assert not false and told > windows / 2
