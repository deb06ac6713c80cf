"""Trainer for all networks: AdamW, cosine schedule with warm-up, weight averaging, mixed precision, budget, exact
resume."""

import json
import math
import time
import zlib
from copy import deepcopy
from pathlib import Path

import torch
from torch import nn

from ...hdr.io.atomic import atomic_path
from ...models import registry
from ..data.batches import Batches
from ..data.shards import ShardFolder
from .curve import draw_curves
from .recipe import Recipe

PRECISIONS = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
LOWEST_RATE = 0.01  # of the peak, where the cosine ends
FINGERPRINTED = ("crop", "batch", "windows", "augmentation", "rate", "perceptual")  # attributes of a recipe
MAX_WARM_UP = 0.1  # of the budget, whatever the recipe says: the budgets of ablations are short
BAD_STEPS = 50  # in a row, after which training stops
CHECKPOINT = "checkpoint.pt"  # in the folder of a training


def precision_of(name: str, device: torch.device) -> torch.dtype:
    """Data type of float32, bf16, fp16 (CUDA only), or auto: bf16 where supported, else fp16 on CUDA and float32."""
    if name in PRECISIONS and not (name == "fp16" and device.type != "cuda"):
        return PRECISIONS[name]
    if name != "auto":
        raise ValueError(f"precision {name!r} is not for {device.type}: choose auto, float32, bf16, or fp16 on cuda")
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    fast = device.type == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.bfloat16 if fast else torch.float32


def current_names(recipe: Recipe, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The state of a recipe's module under its current parameter names; names of version 1 are translated."""
    for network in recipe.kept:
        row, prefix = registry.ARCHITECTURES.get(network.architecture), f"{network.part}." if network.part else ""
        if row is None:
            continue
        own = {name: value for name, value in state.items() if name.startswith(prefix)}
        renamed = row.current({name.removeprefix(prefix): value for name, value in own.items()})
        state = {name: value for name, value in state.items() if name not in own}
        state |= {prefix + name: value for name, value in renamed.items()}
    return state


def kept(recipe: Recipe, checkpoint) -> nn.Module:
    """Averaged network of a training of `recipe`, from its checkpoint file."""
    network = recipe.build()
    saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
    network.load_state_dict(current_names(recipe, saved["average"]))
    return network.eval().requires_grad_(False)


def fingerprint(recipe: Recipe, shards, seed: int, further: bool = False) -> dict:
    """Properties that must be unchanged when a training is resumed; budget and machine are not among them. further: as of
    `Kept.started_from`."""
    clips = ShardFolder(shards)
    made_of = zlib.crc32(json.dumps([shard.metadata() for shard in clips.shards], sort_keys=True).encode())
    attributes = {name: repr(getattr(recipe, name)) for name in FINGERPRINTED}
    start = {network.name: network.started_from(further).get("sha256", "nothing")[:12] for network in recipe.kept}
    about = {"recipe": recipe.name, "seed": seed, "shards": f"{len(clips)} clips, {made_of:08x}", **attributes}
    return {**about, "start": start}


class Trainer:
    """Trains `recipe` on `batches`, writing checkpoint.pt, log.jsonl and curve.png into the folder `out`.

    seconds, steps: the budget, whichever ends first; one of them is needed. The learning rate depends on the share of the
    budget that is spent, so a training with a budget in steps is reproducible exactly, one with a budget in seconds nearly.
    A recipe may be random only by its batches and torch's own generators. precision: in place of the recipe's. further: the
    caller puts the package's weights into the network, see `train.take_packaged`. `average` is the network to keep.
    """

    def __init__(
        self,
        recipe: Recipe,
        batches: Batches,
        out,
        seconds: float = math.inf,
        steps: float = math.inf,
        seed: int = 0,
        device: str = "cpu",
        precision: str | None = None,
        workers: int = 1,
        checkpoint_every: float = 120,
        log_every: int = 50,
        further: bool = False,
    ):
        if math.isinf(seconds) and math.isinf(steps):
            raise ValueError("training has no end: give a budget in minutes or in steps")
        if not (seconds > 0 and steps > 0):
            raise ValueError("the budget of the training is not above 0: give more minutes or steps")
        self.recipe, self.batches, self.out = recipe, batches, Path(out)
        self.fingerprint = fingerprint(recipe, batches.folder, seed, further)
        self.seconds, self.steps, self.workers = seconds, steps, workers
        self.checkpoint_every, self.log_every = checkpoint_every, log_every
        self.device = torch.device(device)
        self.precision = precision_of(precision or recipe.precision, self.device)
        torch.manual_seed(seed)
        self.network = recipe.build().to(self.device, memory_format=torch.channels_last).train()
        self.average = deepcopy(self.network).eval().requires_grad_(False)
        self.trained = [p for p in self.network.parameters() if p.requires_grad]
        kernels = [p for p in self.trained if p.ndim > 1]
        others = [p for p in self.trained if p.ndim <= 1]
        groups = [{"params": kernels, "weight_decay": recipe.decay}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW([g for g in groups if g["params"]], lr=recipe.rate)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision is torch.float16)
        self.step, self.elapsed, self.skipped, self.bad = 0, 0.0, 0, 0
        self.sums: dict[str, float] = {}
        self.stopped = False
        self.out.mkdir(parents=True, exist_ok=True)

    def resume(self) -> None:
        """Continue from the checkpoint in `out`; on the CPU, with the same budget in steps, the result is bit-identical to an
        uninterrupted training.

        Raises OSError when there is none, ValueError when it is another recipe's, or of another seed, of other shards
        or settings, or started from other weights.
        """
        path = self.out / CHECKPOINT
        if not path.is_file():
            raise OSError(f"{path} does not exist: train without --resume first")
        saved = torch.load(path, map_location=self.device, weights_only=True)
        stored = saved.get("fingerprint") or {"recipe": saved["recipe"]}  # older checkpoints state nothing else
        for name, value in stored.items():
            if value != self.fingerprint[name]:
                raise ValueError(
                    f"{path} is of the {name} {value!r}, not {self.fingerprint[name]!r}: give another --out"
                )
        for key in ("network", "average"):
            getattr(self, key).load_state_dict(current_names(self.recipe, saved[key]))
        self.optimizer.load_state_dict(saved["optimizer"])
        if saved["scaler"]:  # empty where it was begun in another precision
            self.scaler.load_state_dict(saved["scaler"])
        for key in ("step", "elapsed", "skipped", "bad", "sums"):
            setattr(self, key, saved[key])
        torch.set_rng_state(saved["random"].cpu())
        if self.device.type == "cuda" and "random_cuda" in saved:
            torch.cuda.set_rng_state(saved["random_cuda"].cpu(), self.device)
        rows = [row for row in self.rows() if row["step"] <= self.step]
        with atomic_path(self.out / "log.jsonl") as temporary:
            temporary.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    def save(self) -> None:
        """Write the checkpoint, and the curves of what is logged so far."""
        state = {key: getattr(self, key).state_dict() for key in ("network", "average", "optimizer", "scaler")}
        state.update({key: getattr(self, key) for key in ("step", "elapsed", "skipped", "bad", "sums")})
        state.update(fingerprint=self.fingerprint, random=torch.get_rng_state())
        if self.device.type == "cuda":
            state["random_cuda"] = torch.cuda.get_rng_state(self.device)
        with atomic_path(self.out / CHECKPOINT) as temporary:
            torch.save(state, temporary)
        rows = self.rows()
        if len(rows) > 1:
            draw_curves(self.out / "curve.png", rows)

    def rows(self) -> list[dict]:
        """The log so far; a line that an interruption cut short is left out."""
        path = self.out / "log.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def spent(self) -> float:
        """Share of the budget that is used up."""
        return max(self.step / self.steps, self.elapsed / self.seconds)

    def rate(self) -> float:
        """Learning rate of the coming step."""
        cosine = (1 + math.cos(math.pi * min(self.spent(), 1))) / 2
        warm = min(max((self.step + 1) / max(self.recipe.warm_up, 1), self.spent() / MAX_WARM_UP), 1)
        return self.recipe.rate * warm * (LOWEST_RATE + (1 - LOWEST_RATE) * cosine)

    def run(self) -> nn.Module:
        """Train until the budget is spent or `stopped` is set, and write a checkpoint; the averaged network.

        Raises RuntimeError when the loss or the gradient is NaN or infinite for many steps in a row.
        """
        if not self.step:
            (self.out / "log.jsonl").write_text("", encoding="utf-8")
        start = time.monotonic() - self.elapsed
        saved = self.elapsed
        feed = self.batches.from_step(self.step, self.workers, pin=self.device.type == "cuda")
        while self.spent() < 1 and not self.stopped:
            self.learn(next(feed))
            self.elapsed = time.monotonic() - start
            if self.step % self.log_every == 0:
                self.log()
            if self.elapsed - saved > self.checkpoint_every:
                self.save()
                saved = self.elapsed
        self.save()
        return self.average

    def learn(self, batch: dict[str, torch.Tensor]) -> None:
        """One step of the optimiser; without effect on the weights when its loss or gradient is not finite."""
        rate = self.rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        batch = {key: value.to(self.device, non_blocking=True) for key, value in batch.items()}
        with torch.autocast(self.device.type, self.precision, enabled=self.precision is not torch.float32):
            loss, metrics = self.recipe.loss(self.network, batch)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.trained, self.recipe.clip)
        finite = bool(torch.isfinite(loss) & torch.isfinite(norm))
        if finite:
            self.scaler.step(self.optimizer)
            self.update_average()
        self.scaler.update()
        self.step += 1
        self.note(finite, {"loss": loss.detach(), **metrics, "gradient": norm})

    def update_average(self) -> None:
        """Move the average towards the network, faster in the first steps; buffers are copied."""
        share = 1 - min(self.recipe.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for kept, new in zip(self.average.parameters(), self.network.parameters(), strict=True):
                kept.lerp_(new, share)
            for kept, new in zip(self.average.buffers(), self.network.buffers(), strict=True):
                kept.copy_(new)

    def note(self, finite: bool, values: dict) -> None:
        """Add a step to the averages of the next log line. Raises RuntimeError after too many steps that were not finite."""
        self.bad = 0 if finite else self.bad + 1
        self.skipped += not finite
        if self.bad >= BAD_STEPS:
            raise RuntimeError(
                f"the loss or its gradient was NaN or infinite in {BAD_STEPS} steps in a row, up to step {self.step}: "
                "lower the learning rate, train in float32, or look for the operation that overflows"
            )
        if finite:
            self.sums["count"] = self.sums.get("count", 0) + 1
            for key, value in values.items():
                self.sums[key] = self.sums.get(key, 0.0) + float(value)

    def log(self) -> None:
        """Append the means since the last line to log.jsonl, and print them."""
        number = self.sums.pop("count", 0)
        means = {key: total / number for key, total in self.sums.items()} if number else {}
        row = {
            "step": self.step,
            "seconds": round(self.elapsed, 2),
            "rate": self.rate(),
            "skipped": self.skipped,
            **means,
        }
        self.sums = {}
        with open(self.out / "log.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print("  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()), flush=True)
