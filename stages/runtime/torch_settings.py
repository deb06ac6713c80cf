"""Settings of PyTorch that are the process's or the thread's, so that other code may have changed them."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch


@contextmanager
def default_torch_settings() -> Iterator[None]:
    """float32 by default, on the CPU by default, no autocast: what another node pack or the caller has set instead comes back at
    the end. Also a decorator."""
    dtype, device = torch.get_default_dtype(), torch.get_default_device()
    with ExitStack() as changed:
        if dtype is not torch.float32:
            changed.callback(torch.set_default_dtype, dtype)
            torch.set_default_dtype(torch.float32)
        if device.type != "cpu":
            changed.enter_context(torch.device("cpu"))
        for kind in ("cpu", "cuda", "mps", "xpu"):
            if torch.is_autocast_enabled(kind):
                changed.enter_context(torch.autocast(kind, enabled=False))
        yield
