"""Networks whose layers that start at zero have small random weights, so that every branch affects the result."""

import torch


def nonzero(network: torch.nn.Module, std: float = 0.05, seed: int = 7) -> torch.nn.Module:
    """`network`, with every parameter that is all zero drawn anew in place."""
    torch.manual_seed(seed)
    for parameter in network.parameters():
        if not parameter.detach().any():
            torch.nn.init.normal_(parameter, std=std)
    return network
