"""Several frames at a time, one thread each."""

import threading

import pytest
import torch
from hdrweave.stages.runtime.threads import frames_at_once, in_threads


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_results_come_in_order_from_threads_of_their_own(two_threads):
    together = threading.Barrier(2, timeout=60)  # passes only where both run at once

    def compute(item: int) -> tuple[int, int, bool]:
        together.wait()
        return item, torch.get_num_threads(), torch.is_grad_enabled()

    with torch.no_grad():
        assert in_threads(compute, [3, 4, 5, 6]) == [(k, 1, False) for k in (3, 4, 5, 6)]
    assert torch.get_num_threads() == 2
    assert [frames_at_once("cpu", pixels) for pixels in (1280 * 720, 9 << 20, 20 << 20)] == [2, 1, 1]
    assert frames_at_once("cuda", 20 << 20) == 4


def test_an_error_is_raised_and_the_threads_are_given_back(two_threads):
    def compute(item: int):
        raise ValueError(f"frame {item}")

    with pytest.raises(ValueError, match="frame 0"):
        in_threads(compute, [0, 1])
    assert torch.get_num_threads() == 2


def test_a_frame_gets_the_same_threads_alone_as_beside_others(two_threads):
    """Sums over a frame are rounded differently by more threads."""
    assert (
        in_threads(lambda item: torch.get_num_threads(), [7])
        == in_threads(lambda item: torch.get_num_threads(), [8, 9])[:1]
        == [1]
    )
    assert in_threads(lambda item: torch.get_num_threads(), [7, 8], together=1) == [2, 2]


def test_other_devices_need_no_threads(two_threads):
    main = threading.get_ident()
    assert in_threads(lambda item: threading.get_ident(), [7, 8], "cuda") == [main] * 2
