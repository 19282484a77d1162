"""The one training loop: on a processor, one accelerator, or many under ``torchrun``.

A kind of training is a :class:`Stage`. Its **module** is the training step: ``module(*batch)``
answers named scalars, of which ``loss`` is minimised and all are logged; everything that is
trained (and everything that a snapshot must hold) lives inside it. Its **source** makes batches::

    class Pairs:                                            # a Source
        weights = np.ones(1000)                             # one per film
        def batch(self, indices, draws):                    # runs in a thread, ahead of time
            return torch.from_numpy(self.films[indices]), torch.from_numpy(draws.uniform(196))

    class Step(nn.Module):
        def forward(self, films, noise):
            return {"loss": ..., "similarity": ...}         # means over the rows of this process

    train(Stage(module=Step(), training=Pairs(), save=write_encoder), recipe.loop, run)

Randomness that decides what a film looks like (crops, masks) comes from ``draws``, so that it
belongs to the film and not to the process; dropout may use torch's own generators, which are
seeded before every step. A loss that needs the other processes' rows gathers them itself.

Stopped at any moment, even by ``kill -9``, the same call goes on from the newest undamaged
snapshot, and on one process gives the same curve bit for bit.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, nullcontext

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from numpy.typing import NDArray
from torch import Tensor, nn

from pacx.errors import RecipeError, TrainingError
from pacx_training.curves import CurveWriter
from pacx_training.gradient_cache import Comparing, judge_together
from pacx_training.optimisers import adamw
from pacx_training.precision import arithmetic
from pacx_training.processes import refuse_different_starts
from pacx_training.progress import progress
from pacx_training.runs import RunDirectory
from pacx_training.sampling import Draws, Rows, Sampler
from pacx_training.schedule import CosineSchedule
from pacx_training.snapshots import Snapshot, load_snapshot, save_snapshot
from pacx_training.stage import Batch, LoopRecipe, Source, Stage

__all__ = ["Batch", "LoopRecipe", "Source", "Stage", "train"]


def train(stage: Stage, recipe: LoopRecipe, run: RunDirectory) -> None:
    """Train a stage from the start, or from the newest snapshot in the run folder, to the end.

    Args:
        stage: What to train.
        recipe: How.
        run: Where snapshots, curves and results are written.

    Raises:
        RecipeError: The batch does not fit the films or the devices.
        CheckpointError: The snapshot belongs to another module, or processes have different ones.
        TrainingError: The loss is no longer finite.
    """
    run.path.mkdir(parents=True, exist_ok=True)
    _Trainer(stage, recipe, run).run()


def _accelerator(recipe: LoopRecipe) -> Accelerator:
    """The devices and the precision of this process.

    Accelerate keeps one global state; a process that trains several stages starts each afresh.
    """
    computed = arithmetic(recipe.precision)
    AcceleratorState._reset_state()
    GradientState._reset_state()
    return Accelerator(
        cpu=not torch.accelerator.is_available(),
        mixed_precision="no" if computed == "fp32" else computed,
    )


class _Trainer:
    """One call of :func:`train`."""

    def __init__(self, stage: Stage, recipe: LoopRecipe, run: RunDirectory) -> None:
        self.stage, self.recipe, self.directory = stage, recipe, run
        self.sampler = Sampler(stage.training.weights, recipe.batch_size, recipe.seed)
        if not self.sampler.steps_per_epoch:
            raise RecipeError("There are fewer films than batch_size.")
        if not stage.training.weights.any():
            raise RecipeError("No film has a weight above zero.")
        self.steps = max(1, round(recipe.epochs * self.sampler.steps_per_epoch))
        self.schedule = CosineSchedule(
            steps=self.steps,
            warmup_steps=round(recipe.warmup_epochs * self.sampler.steps_per_epoch),
            final_share=recipe.final_share,
        )
        self.accelerator = _accelerator(recipe)
        self.parts = _parts(recipe, self.accelerator)
        optimiser = adamw(
            stage.module,
            learning_rate=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
            betas=recipe.betas,
            layer_decay=recipe.layer_decay,
        )
        self.step = self._resume(stage.module.to(self.accelerator.device), optimiser)
        self.module, self.optimiser = self.accelerator.prepare(stage.module, optimiser)
        self.saved_s = time.monotonic()

    def run(self) -> None:
        with ExitStack() as stack:
            main = self.accelerator.is_main_process
            curves = stack.enter_context(self._curves()) if main else None
            bars = stack.enter_context(progress(disable=not main))
            bar = bars.add_task("training", total=self.steps, completed=self.step)
            for batches in self._prefetched():
                values = self._learn(batches)
                self.step += 1
                bars.update(bar, completed=self.step, description=f"loss {values['loss']:.4f}")
                self._report(values, curves)
            self._save()
        self.accelerator.wait_for_everyone()

    def _resume(self, module: nn.Module, optimiser: torch.optim.Optimizer) -> int:
        snapshot = load_snapshot(self.directory.checkpoints)
        start = f"step {snapshot.step} ({snapshot.digest})" if snapshot else "the beginning"
        refuse_different_starts(start)
        if snapshot is None:
            return 0
        snapshot.restore(module, optimiser)
        return snapshot.step

    def _curves(self) -> CurveWriter:
        board = self.directory.path / "tensorboard"
        return CurveWriter(self.directory.metrics, board, resumed_step=self.step)

    def _prefetched(self) -> Iterator[list[Batch]]:
        """The batches of every step that is left, made ahead in threads."""
        waiting: list[Future[list[Batch]]] = []
        ahead = self.recipe.workers + 1
        with ThreadPoolExecutor(self.recipe.workers) as pool:
            for step in range(self.step, self.steps):
                waiting.append(pool.submit(self._batches, step, self.sampler.indices(step)))
                if len(waiting) > ahead:
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()

    def _batches(self, step: int, indices: NDArray[np.int64]) -> list[Batch]:
        source, seed = self.stage.training, self.recipe.seed
        return [
            source.batch(indices[rows.start : rows.stop], Draws.of_step(seed, step, rows))
            for rows in self.parts
        ]

    def _learn(self, batches: list[Batch]) -> dict[str, float]:
        """One step of the optimiser; its metrics are means over the global batch."""
        share = self.schedule(self.step)
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * share
        self.module.train()
        step = self.accelerator.unwrap_model(self.module)
        if isinstance(step, Comparing) and len(batches) > 1:
            metrics = [self._compare(step, batches)]
        else:
            metrics = [self._accumulate(part, batch) for part, batch in enumerate(batches)]
        clip = self.recipe.clip_norm or float("inf")
        norm = self.accelerator.clip_grad_norm_(self.module.parameters(), clip)
        values = self._mean(metrics) | {"gradient_norm": float(norm)}
        if not np.isfinite(values["loss"]) or not np.isfinite(values["gradient_norm"]):
            raise TrainingError(f"The loss is no longer finite after {self.step} steps.")
        self.optimiser.step()
        self.optimiser.zero_grad()
        return values | {"learning_rate": self.recipe.learning_rate * share}

    def _accumulate(self, part: int, batch: Batch) -> dict[str, Tensor]:
        self._seed(part)
        with self._synchronised(part):
            metrics = self._forward(batch)
            self.accelerator.backward(metrics["loss"] / len(self.parts))
        return _detached(metrics)

    def _compare(self, step: Comparing, batches: list[Batch]) -> dict[str, Tensor]:
        """A loss that compares rows sees those of all parts, see :mod:`.gradient_cache`."""
        told = []
        with torch.no_grad(), self.accelerator.autocast():
            for part, batch in enumerate(batches):
                self._seed(part)
                told.append(step.represent(*self._moved(batch)))
        with self.accelerator.autocast():
            metrics, gradients = judge_together(step, told)
        for part, batch in enumerate(batches):
            self._seed(part)
            with self._synchronised(part):
                loss = self._forward(batch, gradients=gradients[part])["loss"]
                self.accelerator.backward(loss)
        return _detached(metrics)

    def _seed(self, part: int) -> None:
        rank = self.accelerator.process_index
        seed = np.random.SeedSequence((self.recipe.seed, 2, self.step, part, rank))
        torch.manual_seed(int(seed.generate_state(1)[0]))

    def _synchronised(self, part: int) -> AbstractContextManager[None]:
        """Gradients travel between processes with the last part only."""
        last = part == len(self.parts) - 1
        return nullcontext() if last else self.accelerator.no_sync(self.module)

    def _forward(self, batch: Batch, **options: object) -> Mapping[str, Tensor]:
        metrics: Mapping[str, Tensor] = self.module(*self._moved(batch), **options)
        return metrics

    def _moved(self, batch: Batch) -> list[Tensor]:
        return [tensor.to(self.accelerator.device, non_blocking=True) for tensor in batch]

    def _mean(self, metrics: list[dict[str, Tensor]]) -> dict[str, float]:
        names = tuple(metrics[0])
        stacked = torch.stack([torch.stack([part[name] for name in names]) for part in metrics])
        means = self.accelerator.reduce(stacked.mean(dim=0), reduction="mean")
        return dict(zip(names, means.tolist(), strict=True))

    def _report(self, values: dict[str, float], curves: CurveWriter | None) -> None:
        epoch, beyond = divmod(self.step, self.sampler.steps_per_epoch)
        last = self.step == self.steps
        epoch_ends = last or not beyond
        due = last or not (beyond or epoch % self.recipe.validation_epochs)
        measured = self._validate() if due else {}
        if curves is not None:
            if epoch_ends or self.step % self.recipe.log_steps == 0:
                curves.write(self.step, values | measured)
            if epoch_ends and self.stage.pictures is not None:
                for name, picture in self.stage.pictures().items():
                    curves.picture(self.step, name, picture)
        if time.monotonic() - self.saved_s >= 60 * self.recipe.checkpoint_minutes:
            self._save()

    @torch.no_grad()
    def _validate(self) -> dict[str, float]:
        source = self.stage.validation
        if source is None:
            return {}
        self.module.eval()
        films, processes = len(source.weights), self.accelerator.num_processes
        size = min(self.recipe.batch_size, films // processes * processes)
        own = _own_rows(size, processes, self.accelerator.process_index)
        metrics = []
        for batch in range(films // size if size else 0):
            draws = Draws.of_step(self.recipe.seed, batch, own)
            indices = np.arange(batch * size + own.start, batch * size + own.stop)
            answer = self._forward(source.batch(indices, draws))
            metrics.append({name: value.float() for name, value in answer.items()})
        if not metrics:
            raise RecipeError("There are fewer validation films than processes.")
        return {f"validation/{name}": value for name, value in self._mean(metrics).items()}

    def _save(self) -> None:
        self.saved_s = time.monotonic()
        if self.accelerator.is_main_process:
            snapshot = Snapshot.of(self.step, self.stage.module, self.optimiser)
            keep = self.recipe.keep_checkpoints
            save_snapshot(self.directory.checkpoints, snapshot, keep=keep)
            self.stage.save(self.directory)


def _parts(recipe: LoopRecipe, accelerator: Accelerator) -> list[Rows]:
    """The rows of the global batch that this process computes, one part after the other."""
    processes = accelerator.num_processes
    device_batch = min(recipe.device_batch or recipe.batch_size, recipe.batch_size // processes)
    together = max(1, device_batch) * processes
    if recipe.batch_size % together:
        raise RecipeError("batch_size must be a multiple of the devices times device_batch.")
    own = _own_rows(together, processes, accelerator.process_index)
    return [
        Rows(start=first + own.start, stop=first + own.stop, total=recipe.batch_size)
        for first in range(0, recipe.batch_size, together)
    ]


def _detached(metrics: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().float() for name, value in metrics.items()}


def _own_rows(total: int, processes: int, rank: int) -> Rows:
    each = total // processes
    return Rows(start=rank * each, stop=(rank + 1) * each, total=total)
