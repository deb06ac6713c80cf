"""Work on several frames at a time on a CPU, one thread for each.

The frames of a clip are independent, so they are what threads share. Within one small operation they would meet after
less than a millisecond, thousands of times a frame; beside other busy processes each meeting waits for the thread that the
system has put aside.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def frames_at_once(device) -> int:
    """Frames that are worked on together: one for each thread of a CPU; elsewhere four, which share the cost of starting
    small operations."""
    return max(torch.get_num_threads(), 1) if torch.device(device).type == "cpu" else 4


def in_threads(
    compute: Callable[[Item], Result], items: Sequence[Item], device: torch.device | str = "cpu"
) -> list[Result]:
    """`compute` of all items in order, on a CPU with one thread for each, in which PyTorch uses one; elsewhere one after
    another. The first exception is raised."""
    count = torch.get_num_threads()
    if torch.device(device).type != "cpu" or len(items) < 2 or count < 2:
        return [compute(item) for item in items]
    grad = torch.is_grad_enabled()

    def alone(item: Item) -> Result:
        torch.set_num_threads(1)  # of this thread, and of those that start later: hence the last line
        with torch.set_grad_enabled(grad):
            return compute(item)

    try:
        with ThreadPoolExecutor(min(count, len(items))) as pool:
            return list(pool.map(alone, items))
    finally:
        torch.set_num_threads(count)
