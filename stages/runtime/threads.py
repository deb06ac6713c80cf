"""Processing of several frames at a time on a CPU, with a thread for each.

The frames of a clip are independent. If the threads shared small operations instead, they would synchronise thousands of times
per frame, each time after less than a millisecond; beside other busy processes, each synchronisation waits for the thread that
the system has suspended.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def frames_at_once(device) -> int:
    """Number of frames that are processed together: the number of threads on a CPU; elsewhere four, which reduces the overhead of
    launching small operations."""
    return max(torch.get_num_threads(), 1) if torch.device(device).type == "cpu" else 4


def in_threads(
    compute: Callable[[Item], Result], items: Sequence[Item], device: torch.device | str = "cpu"
) -> list[Result]:
    """`compute` of all items, in order: on a CPU in parallel threads, each of which uses one thread of PyTorch; elsewhere one
    after another. The first exception is raised."""
    count = torch.get_num_threads()
    if torch.device(device).type != "cpu" or len(items) < 2 or count < 2:
        return [compute(item) for item in items]
    grad = torch.is_grad_enabled()

    def alone(item: Item) -> Result:
        torch.set_num_threads(1)  # applies to this thread and to those started later, hence the reset below
        with torch.set_grad_enabled(grad):
            return compute(item)

    try:
        with ThreadPoolExecutor(min(count, len(items))) as pool:
            return list(pool.map(alone, items))
    finally:
        torch.set_num_threads(count)
