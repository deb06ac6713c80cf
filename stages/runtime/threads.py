"""Processing of several frames at a time on a CPU, with a thread for each.

The frames of a clip are independent. If the threads shared small operations instead, they would synchronise thousands of times
per frame, each time after less than a millisecond; beside other busy processes, each synchronisation waits for the thread that
the system has suspended.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

ELSEWHERE_AT_ONCE = 4  # frames between which flow is estimated together on devices other than a CPU
MAX_PIXELS = 16 << 20  # of frames whose flow is estimated together on a CPU: 18 frames of 1280x720

Item = TypeVar("Item")
Result = TypeVar("Result")


def frames_at_once(device, pixels: int) -> int:
    """Number of frames of so many pixels between which flow is estimated together: the number of threads on a CPU, as far as
    MAX_PIXELS allows; elsewhere ELSEWHERE_AT_ONCE, which reduces the overhead of launching small operations."""
    if torch.device(device).type != "cpu":
        return ELSEWHERE_AT_ONCE
    return max(min(torch.get_num_threads(), MAX_PIXELS // pixels), 1)


def in_threads(
    compute: Callable[[Item], Result],
    items: Sequence[Item],
    device: torch.device | str = "cpu",
    together: int | None = None,
) -> list[Result]:
    """`compute` of all items, in order: on a CPU `together` of them at once in parallel threads, which share PyTorch's threads
    evenly, by default as many as there are; elsewhere one after another. The first exception is raised.

    PyTorch's threads of an item do not depend on the number of items, as sums over a frame are rounded differently by more
    threads.
    """
    count = torch.get_num_threads()
    together = count if together is None else min(together, count)
    if torch.device(device).type != "cpu" or not items or together < 2:
        return [compute(item) for item in items]
    grad = torch.is_grad_enabled()

    def alone(item: Item) -> Result:
        torch.set_num_threads(
            count // together
        )  # applies to this thread and to those started later, hence the reset below
        with torch.set_grad_enabled(grad):
            return compute(item)

    try:
        with ThreadPoolExecutor(min(together, len(items))) as pool:
            return list(pool.map(alone, items))
    finally:
        torch.set_num_threads(count)
