"""Evaluation of pattern detection on real clips: period, phase, and measured against nominal exposure ratio.

python -m hdrweave.training detect_real --data DIR     (DIR holds alternating_2exp and alternating_3exp)
"""

import argparse
import json
from itertools import islice
from pathlib import Path

import torch

from ...hdr.response import response_named
from ...hdr.sequence import ExposureSequence
from ...stages.clip.detect import detect_pattern
from ...stages.clip.detection import Detection


def decoded(path, most: int | None = None) -> torch.Tensor:
    """Code values (T,H,W,3) in [0,1] of the first `most` frames of an 8-bit video."""
    import av
    import numpy as np

    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in islice(container.decode(video=0), most)]
    return torch.from_numpy(np.stack(frames)).float() / 255


def edits(count: int, period: int) -> dict[str, list[int]]:
    """Frame lists by name: the clip, the clip from later frames on, and with frames dropped and duplicated."""
    whole = list(range(count))
    gaps = (11, 30, 47)
    return {
        "whole": whole,
        **{f"from {start}": whole[start:] for start in range(1, period)},
        "one missing": whole[:20] + whole[21:],
        "one doubled": whole[:21] + whole[20:],
        "three missing": [t for t in whole if t not in gaps],
        "missing and doubled": whole[:15] + whole[16:41] + whole[40:],
    }


def detect(frames: torch.Tensor) -> Detection:
    """Detection on code values (T,H,W,3), gamma 2.2, without a declared pattern."""
    return detect_pattern(ExposureSequence(frames, torch.ones(len(frames)), response_named("gamma2.2"), 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with alternating_2exp and alternating_3exp")
    data = parser.parse_args().data
    torch.set_num_threads(1)
    right, tried = 0, 0
    print(f"{'clip':24} {'nominal':>10} {'measured':>14} {'error %':>12} {'confidence':>10}  wrong")
    for period, folder in ((2, "alternating_2exp"), (3, "alternating_3exp")):
        for clip in json.loads((data / folder / "clips.json").read_text())["clips"]:
            frames, wrong = decoded(data / folder / clip["file"]), []
            whole = detect(frames)
            for name, order in edits(len(frames), period).items():
                found = detect(frames[order])
                doubled = tuple(i for i in range(1, len(order)) if order[i] == order[i - 1])
                missing = tuple(i for i in range(1, len(order)) if order[i] > order[i - 1] + 1)
                phases = [t % period for t in order]
                good = found.phase_of_frames.tolist() == phases and (found.dropped, found.repeated) == (
                    missing,
                    doubled,
                )
                tried, right = tried + 1, right + good
                wrong += [] if good else [name]
            nominal = 2 ** clip["stops"]
            measured = [2**s for s in whole.ratios]
            print(
                f"{folder[-4:] + '/' + clip['file']:24} {nominal:10d} {' '.join(f'{m:.2f}' for m in measured):>14} "
                f"{' '.join(f'{100 * m / nominal - 100:+.1f}' for m in measured):>12} {whole.confidence:10.2f}  "
                f"{', '.join(wrong) or '-'}"
            )
    print(f"{right} of {tried} right (every frame's phase, every missing and every doubled frame)")
