"""A folder of shards with small clips, of 2 and 3 exposures, for tests of what reads them."""

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from hdrweave.training.data import shard_noise
from hdrweave.training.data.batches import Batches
from hdrweave.training.data.shard_flow import SEARCHED_SUFFIX, SUFFIX, add_to_shard
from hdrweave.training.data.shards import ShardFolder, write_shard
from hdrweave.training.synthesis.clip import make_clip
from hdrweave.training.synthesis.scenes import scene_from_radiance
from hdrweave.training.synthesis.settings import CLEAN, DEGRADED

SETTINGS = replace(CLEAN, width=72, height=64, frames=5, read_noise=(1e-9, 2e-9), bits=(16,), max_object_speed=8.0)


class NoisyBatches(Batches):
    """Batches with read noise of one hundredth, where frames do not clip."""

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        batch = super().__getitem__(number)
        ldr = batch["ldr"]
        noise = 0.01 * torch.randn(ldr.shape, generator=torch.Generator().manual_seed(number))
        return {**batch, "ldr": torch.where(ldr < 1, (ldr**2.2 + noise).clamp(0, 1) ** (1 / 2.2), ldr)}


def world(seed: int) -> np.ndarray:
    """A smooth 256x128 panorama in scene-linear light."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:128, :256] * (2 * np.pi / 256)
    waves = rng.integers(0, 24, (16, 2))
    log = sum(rng.normal(0, 0.4, 3) * np.cos(a * x + b * y + rng.uniform(0, 6))[..., None] for a, b in waves)
    return np.exp(log).astype(np.float32)


def write_small_shards(folder, count: int = 8) -> None:
    scenes = [scene_from_radiance(world(k), str(k)) for k in range(2)]
    settings = [replace(SETTINGS, periods=(2 + k % 2,)) for k in range(count)]
    clips = [make_clip(scenes, k, s) for k, s in enumerate(settings)]
    write_shard(folder / "a.safetensors", clips[: count // 2], {"scenes": '["0", "1"]'})
    write_shard(folder / "b.safetensors", clips[count // 2 :], {"scenes": '["0", "1"]'})


def write_clips_of_seven(folder, count: int = 4) -> None:
    """Noisy clips of seven frames, of two and three exposures in turn."""
    scenes = [scene_from_radiance(world(k), str(k)) for k in range(2)]
    settings = replace(DEGRADED, width=72, height=64, frames=7, max_object_speed=8.0, shutter=(0.0, 0.0), quality=None)
    clips = [make_clip(scenes, k, replace(settings, periods=(2 + k % 2,))) for k in range(count)]
    write_shard(folder / "a.safetensors", clips, {"scenes": '["0", "1"]'})


def write_base_flows(folder) -> None:
    """The estimated flow beside every shard of a folder, as DIS has it and with the network, and the noise."""
    for path in ShardFolder(folder).paths:
        for suffix in (SUFFIX, SEARCHED_SUFFIX):
            assert add_to_shard(str(path), suffix) == len(ShardFolder(path))
        assert shard_noise.add_to_shard(str(path)) == len(ShardFolder(path))


@contextmanager
def one_thread():
    """Threads cost more than they bring on pictures this small; and results repeat to the bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
