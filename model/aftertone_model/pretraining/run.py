"""Task-adaptive pre-training (TAPT): go on training the backbone on the pool, without labels, before any fine-tuning.

AFTER (arXiv 2310.00283) §2.2. The CNN stays frozen; its cached frames are all that is read.
"""

import hashlib
import json
import logging
import math
import shutil
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from aftertone_model.backbones.activations import keep_all
from aftertone_model.backbones.backbone import Backbone
from aftertone_model.backbones.digest import digest
from aftertone_model.config import PretrainingConfig
from aftertone_model.data.clips import Clip
from aftertone_model.data.files import Guard, whole_folder
from aftertone_model.pretraining.checkpoint import load_checkpoint, save_checkpoint
from aftertone_model.pretraining.record import Adaptation, CurvePoint, read_adaptation
from aftertone_model.pretraining.teachers.teacher import Teacher
from aftertone_model.pretraining.trainer import Pretrainer
from aftertone_model.runtime import Runtime

log = logging.getLogger(__name__)

MIN_SECONDS = 0.5  # shorter clips have too few masked frames to tell apart
MIN_CLIPS = 8  # fewer can't spare clips to hold out
HELD_OUT_SHARE = 0.02
HELD_OUT = (16, 200)  # fewest and most held-out clips: enough masked frames for a mean, few enough to be quick
MOST_SKIPPED = 10  # steps without a usable gradient, more of which end the run
VARIED = 0.8  # least share of the reference's code perplexity at which a lower contrastive loss counts
COLLAPSED = 0.05  # share of the maximal code perplexity below which the quantiser has collapsed


def adapt(
    backbone: Backbone,
    clips: Sequence[Clip],
    config: PretrainingConfig,
    folder: Path,
    runtime: Runtime,
    teachers: Sequence[Teacher] = (),
    guard: Guard = nullcontext,
) -> Adaptation:
    """Adapt a copy of `backbone` to the clips and save it, with its record, as `folder`.

    `folder` is complete or absent; where it is complete its record is returned as it stands, unless it was adapted from
    another backbone by name, or a method did more to it: then it stays until it is replaced. A run that was killed or
    cancelled goes on from its last validation, kept in `<folder>.part`, when it is called again with the same
    arguments, and comes to the same result.

    A slice of clips is held out. The weights with the lowest loss on it are kept (with teachers, the lowest
    distillation loss); the run stops early once that loss stops falling, and at once when the codes
    collapse. If nothing beats the start, `folder` gets the unadapted backbone, and the record says why.

    Args:
        backbone: left as it is.
        clips: of the runtime's pool; frames that it lacks are computed first.
        teachers: their embeddings are learned as well, beside the family's own objective; for training from scratch.
        guard: entered around the moment in which `folder` takes its place.
    """
    part = folder.with_name(f"{folder.name}.part")
    adaptation = read_adaptation(folder)
    if adaptation is None or adaptation.of_another(backbone.name) or adaptation.made_for:
        part.mkdir(parents=True, exist_ok=True)
        adaptation, adapted = _adapted(backbone, clips, config, part, runtime, teachers)
        with whole_folder(folder, guard=guard) as scratch:
            adapted.save(scratch)
            adaptation.write(scratch)
        log.info("TAPT ended", extra={"action": "adapted", "kept": adaptation.kept, "reason": adaptation.reason})
    shutil.rmtree(part, ignore_errors=True)
    return adaptation


def keep_unadapted(
    backbone: Backbone, clips: Sequence[Clip], folder: Path, reason: str, runtime: Runtime, guard: Guard = nullcontext
) -> Adaptation:
    """Save the backbone as it is, with a record, as `folder`, for a method that has no TAPT; `folder` as of `adapt`.

    Args:
        reason: a sentence for people.
    """
    adaptation = read_adaptation(folder)
    if adaptation is None or adaptation.of_another(backbone.name) or adaptation.made_for:
        adaptation = Adaptation(
            kept=False,
            reason=reason,
            clips=len(clips),
            seconds_of_audio=0.0,
            held_out=0,
            mask_ratio=0.0,
            steps=0,
            seconds=0.0,
            seed=runtime.seed,
            backbone=backbone.name,
        )
        with whole_folder(folder, guard=guard) as scratch:
            backbone.save(scratch)
            adaptation.write(scratch)
    return adaptation


def split(clips: Sequence[Clip], seed: int) -> tuple[list[Clip], list[Clip]]:
    """Clips to train on and clips held out, about 2 %; both empty where too few are long enough."""
    usable = sorted((clip for clip in clips if clip.seconds >= MIN_SECONDS), key=lambda clip: clip.id)
    if len(usable) < MIN_CLIPS:
        return [], []
    fewest, most = HELD_OUT
    count = min(max(round(HELD_OUT_SHARE * len(usable)), fewest), most, len(usable) // 4)
    order = np.random.default_rng([seed, 0]).permutation(len(usable))
    return [usable[i] for i in order[count:]], [usable[i] for i in order[:count]]


def _adapted(
    backbone: Backbone,
    clips: Sequence[Clip],
    config: PretrainingConfig,
    part: Path,
    runtime: Runtime,
    teachers: Sequence[Teacher],
) -> tuple[Adaptation, Backbone]:
    training, held_out = split(clips, runtime.seed)
    run, started_from = _Run(), backbone.name
    if training:
        trainer = Pretrainer(backbone, training, held_out, config, runtime, teachers)
        key = _key(backbone, clips, config, runtime.seed, teachers)
        _train(run, trainer, config, part / "checkpoint.safetensors", key, runtime)
        trainer.load_weights(run.best)
        backbone = trainer.backbone
        backbone.model.eval()
        keep_all(backbone)
    kept, reason = _verdict(run, config, len(held_out))
    adaptation = Adaptation(
        kept=kept,
        reason=reason,
        clips=len(clips),
        seconds_of_audio=sum(clip.seconds for clip in training),
        held_out=len(held_out),
        mask_ratio=run.masked_frames / max(run.seen_frames, 1),
        steps=run.step,
        seconds=run.seconds,
        seed=runtime.seed,
        settings=asdict(config),
        curve=tuple(run.curve),
        skipped=run.skipped,
        backbone=started_from,
    )
    return adaptation, backbone


@dataclass(kw_only=True)
class _Run:
    """How far a run has come; what a checkpoint holds beside the weights in training and the optimiser."""

    step: int = 0  # optimiser steps taken
    seconds: float = 0.0  # wall clock, over all attempts
    masked_frames: int = 0
    seen_frames: int = 0
    skipped: int = 0  # steps whose gradient was not a number
    curve: list[CurvePoint] = field(default_factory=list[CurvePoint])
    best: dict[str, Tensor] = field(
        default_factory=dict[str, Tensor]
    )  # the weights at the best point of the curve, on the CPU


def _train(
    run: _Run, trainer: Pretrainer, config: PretrainingConfig, checkpoint: Path, key: str, runtime: Runtime
) -> None:
    """Train until the last step or a reason to stop, from the checkpoint on where there is one of this very run."""
    trainer.settle()
    _restore(run, trainer, checkpoint, key)
    started = time.monotonic() - run.seconds
    if not run.curve:
        _validate(run, trainer, None)
    every = math.ceil(trainer.steps / config.validations)
    losses: list[Tensor] = []
    batches = islice(trainer.schedule(), run.step, trainer.steps) if _stop_reason(run, config) is None else ()
    for batch in batches:
        step = trainer.step(run.step, batch)
        if step.taken:
            losses.append(step.loss)
        run.step += 1
        run.skipped += not step.taken
        run.masked_frames += step.masked_frames
        run.seen_frames += step.seen_frames
        runtime.progress("adapt", run.step, trainer.steps)
        due = run.step % every == 0 or run.step in (trainer.warm_up, trainer.steps)
        if due or run.skipped > MOST_SKIPPED:
            _validate(run, trainer, torch.stack(losses).mean().item() if losses else None)
            losses.clear()
            run.seconds = time.monotonic() - started
            _save(run, trainer, checkpoint, key)
            if _stop_reason(run, config) is not None:
                break


def _validate(run: _Run, trainer: Pretrainer, training_loss: float | None) -> None:
    found = trainer.validate()
    run.curve.append(
        CurvePoint(
            step=run.step,
            losses=found.losses,
            judge=trainer.judge,
            perplexity=found.perplexity,
            training=training_loss,
            warming=run.step < trainer.warm_up,
        )
    )
    if _best(run.curve) is run.curve[-1]:
        run.best = {name: weight.detach().to("cpu", copy=True) for name, weight in trainer.weights().items()}


def _healthy(point: CurvePoint) -> bool:
    collapsed = point.judge != "units" and point.perplexity < COLLAPSED  # units are fixed
    return all(map(math.isfinite, point.losses.values())) and not collapsed


def _reference(curve: list[CurvePoint]) -> CurvePoint:
    """What the others are compared with: the start, or where heads that a checkpoint lacks had learned to read it."""
    return next((point for point in curve if not point.warming), curve[0])


def _best(curve: list[CurvePoint]) -> CurvePoint:
    """The healthy point of the lowest objective from the reference on; the reference where none is better."""
    reference = _reference(curve)
    later = curve[curve.index(reference) + 1 :]
    least = VARIED * reference.perplexity if reference.judge == "contrastive" else 0.0
    usable = [point for point in later if _healthy(point) and point.perplexity >= least]
    return min([reference, *usable], key=lambda point: point.objective)


def _stop_reason(run: _Run, config: PretrainingConfig) -> str | None:
    """Why no further step makes sense, or None."""
    curve = run.curve
    last = curve[-1]
    if run.skipped > MOST_SKIPPED:
        return f"the gradient was not a number in {run.skipped} steps"
    if not all(map(math.isfinite, last.losses.values())):
        return f"the loss at step {last.step} was not a number"
    if len(curve) > 1 and not _healthy(last):
        return f"the codes collapsed to {last.perplexity:.0%} of their maximal perplexity at step {last.step}"
    since = 0 if last.warming else len(curve) - 1 - curve.index(_best(curve))
    if since >= config.patience:
        return f"the last {since} validations were no better"
    return None


def _verdict(run: _Run, config: PretrainingConfig, held_out: int) -> tuple[bool, str]:
    """Whether the adapted backbone is used, and a sentence on why."""
    curve = run.curve
    if not curve:
        return False, f"The backbone stays unadapted: fewer than {MIN_CLIPS} clips last {MIN_SECONDS} s or longer."
    start, best, stop = _reference(curve), _best(curve), _stop_reason(run, config)
    loss = f"{start.judge} loss on {held_out} held-out clips"
    ending = f"; stopped at step {curve[-1].step} because {stop}" if stop else ""
    if start is curve[-1] and start.step > 0 and not stop:
        return False, (
            "The backbone stays unadapted: there is too little audio; only the objective's new head has learned, for "
            f"{curve[-1].step} steps."
        )
    if best is start:
        usable = [point.objective for point in curve[curve.index(start) + 1 :] if _healthy(point)]
        after = f" and no better than {min(usable):.3f} after" if usable else ""
        return False, f"The backbone stays unadapted: the {loss} was {start.objective:.3f} before{after}{ending}."
    codes = f", with {best.perplexity:.0%} of the maximal code perplexity" if start.judge == "contrastive" else ""
    return True, (
        f"The {loss} fell from {start.objective:.3f} to {best.objective:.3f} by step {best.step}{codes}{ending}."
    )


def _key(
    backbone: Backbone, clips: Sequence[Clip], config: PretrainingConfig, seed: int, teachers: Sequence[Teacher]
) -> str:
    """Names a run by all that its result depends on, so that a checkpoint of another one is not taken for its own."""
    weights = digest(backbone.model.state_dict())
    run = [
        sorted(clip.id for clip in clips),
        asdict(config),
        seed,
        [teacher.fingerprint for teacher in teachers],
        weights,
    ]
    return hashlib.sha256(json.dumps(run).encode()).hexdigest()


def _save(run: _Run, trainer: Pretrainer, checkpoint: Path, key: str) -> None:
    groups = {"weights": trainer.weights(), "best": run.best, "optimizer": trainer.optimizer_tensors()}
    tensors = {f"{group}/{name}": tensor for group, named in groups.items() for name, tensor in named.items()}
    state = {
        "key": key,
        "step": run.step,
        "seconds": run.seconds,
        "masked_frames": run.masked_frames,
        "seen_frames": run.seen_frames,
        "skipped": run.skipped,
        "curve": [asdict(point) for point in run.curve],
    }
    save_checkpoint(checkpoint, tensors, state)


def _restore(run: _Run, trainer: Pretrainer, checkpoint: Path, key: str) -> None:
    loaded = load_checkpoint(checkpoint)
    if loaded is None or loaded[1].pop("key") != key:
        return
    tensors, state = loaded
    groups: dict[str, dict[str, Tensor]] = {"weights": {}, "best": {}, "optimizer": {}}
    for name, tensor in tensors.items():
        group, _, rest = name.partition("/")
        groups[group][rest] = tensor
    trainer.load_weights(groups["weights"])
    trainer.load_optimizer(groups["optimizer"])
    run.best = groups["best"]
    run.curve = [CurvePoint(**point) for point in state.pop("curve")]
    for name, value in state.items():
        setattr(run, name, value)
    log.info("TAPT goes on", extra={"action": "adapt_resumed", "step": run.step})
