"""Small F2HDR networks with random weights of which every branch affects the result, and files of them."""

from dataclasses import asdict

import torch
from hdrweave.models import registry
from hdrweave.models.blocks import GAIN
from hdrweave.models.f2hdr.f2hdr import F2HDR, F2HDRConfig

ABOUT = dict(data="none", licence="CC0", command="none", figures={})


def network(seed: int = 0, **changes) -> F2HDR:
    widths = dict(adapter_width=8, fusion_width=8, mask_width=4, refinement_width=16)
    torch.manual_seed(seed)
    net = F2HDR(F2HDRConfig(**{**widths, **changes})).eval()
    for layer in net.modules():
        if hasattr(layer, "reset_parameters"):  # however F2HDR starts: also the last layers of residual branches
            layer.reset_parameters()
    if hasattr(net, "adapter"):
        net.adapter.tail[-1].weight.data /= GAIN
    if hasattr(net, "refinement"):
        net.refinement.decoder[-1].weight.data[:12] /= GAIN  # of what is drawn; the others are of the kernels
    return net.requires_grad_(False)


def register(name: str, net: F2HDR, folder) -> None:
    """NAME.safetensors and its manifest in `folder`."""
    registry.register(name, net, "f2hdr", asdict(net.config), folder, half=False, **ABOUT)
