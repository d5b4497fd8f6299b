"""TAPT: adapting a backbone to clips without labels, for the same audio with the same masks' share and rate."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aftertone_model.backbones.backbone import Backbone, load_backbone
from aftertone_model.config import TAPT_PROFILES, PretrainingConfig
from aftertone_model.data.batches import length_batches
from aftertone_model.data.clips import Clip
from aftertone_model.data.pool import Pool
from aftertone_model.pretraining.contrastive import Contrastive
from aftertone_model.pretraining.run import adapt, split
from aftertone_model.pretraining.trainer import Pretrainer
from aftertone_model.runtime import Runtime
from benchmarks.speed.contest import Contender, Work, compete
from benchmarks.speed.corpus import MINI, Corpus, checkpoint
from benchmarks.speed.report import Table, ratio

NEGATIVES = 100  # of the peer, its default; ours compares with all masked frames of the clip


def settings(start: Backbone, passes: float) -> PretrainingConfig:
    """The backbone's own profile, for a few passes, with batches that a laptop's memory holds."""
    profile = TAPT_PROFILES[start.tapt_profile]
    return replace(profile, passes=passes, validations=1, batch_seconds=min(profile.batch_seconds, 32.0))


@dataclass
class Adapting(Work):
    """From a checkpoint and waveforms to an adapted one in the folder `out`, which `run` returns."""

    corpus: Corpus
    start: Path
    device: str
    passes: float
    out: Path

    def reset(self) -> None:
        shutil.rmtree(self.out, ignore_errors=True)


@dataclass
class Ours(Adapting):
    """`adapt`, from waveforms to the saved backbone, its validation included."""

    def __post_init__(self) -> None:
        self.backbone = load_backbone(str(self.start))
        self.runtime = Runtime(pool=Pool(self.corpus.folder), device=torch.device(self.device))

    def reset(self) -> None:
        super().reset()
        shutil.rmtree(self.corpus.folder / "features", ignore_errors=True)

    def run(self) -> Path:
        adapt(self.backbone, self.corpus.clips, settings(self.backbone, self.passes), self.out, self.runtime)
        return self.out


@dataclass
class Transformers(Adapting):
    """transformers' `Wav2Vec2ForPreTraining` under the loop of its pre-training example: masks, negatives, AdamW."""

    def __post_init__(self) -> None:
        from transformers import AutoFeatureExtractor

        self.extractor = AutoFeatureExtractor.from_pretrained(self.start)
        self.training = split(self.corpus.clips, seed=0)[0]
        pool = Pool(self.corpus.folder)
        self.waveforms = [pool.waveform(clip.id) for clip in self.training]
        self.config = settings(load_backbone(str(self.start)), self.passes)

    def run(self) -> Path:
        from transformers import Wav2Vec2ForPreTraining

        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002 -- transformers draws masks from it
        model: Any = Wav2Vec2ForPreTraining.from_pretrained(self.start)
        model.to(self.device).train().freeze_feature_encoder()
        rate, decay = self.config.learning_rate, self.config.weight_decay
        optimizer = torch.optim.AdamW([w for w in model.parameters() if w.requires_grad], lr=rate, weight_decay=decay)
        batches = list(self._batches())
        for step, batch in enumerate(batches):
            warm = max(1, round(0.1 * len(batches)))
            for group in optimizer.param_groups:
                group["lr"] = rate * min((step + 1) / warm, (len(batches) - step) / max(1, len(batches) - warm), 1.0)
            inputs = self._inputs(model, batch)
            loss = model(**inputs).loss / inputs["mask_time_indices"].sum()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            model.set_gumbel_temperature(max(2.0 * 0.999995**step, 0.5))
        model.save_pretrained(self.out)
        return self.out

    def _batches(self) -> Iterator[NDArray[np.int64]]:
        """As many passes over the same clips, in batches of as much audio."""
        seconds = [clip.seconds for clip in self.training]
        for number in range(round(self.passes)):
            yield from length_batches(seconds, self.config.batch_seconds, np.random.default_rng(number))

    def _inputs(self, model: Any, batch: NDArray[np.int64]) -> dict[str, torch.Tensor]:
        from transformers.models.wav2vec2.modeling_wav2vec2 import _compute_mask_indices, _sample_negative_indices

        heard = [self.waveforms[row] for row in batch]
        inputs = self.extractor(
            heard, sampling_rate=16_000, padding=True, return_attention_mask=True, return_tensors="pt"
        )
        frames = int(model._get_feat_extract_output_lengths(inputs["input_values"].shape[1]))
        attention = model._get_feature_vector_attention_mask(frames, inputs["attention_mask"])
        masked = _compute_mask_indices(
            (len(batch), frames), self.config.mask_ratio, self.config.mask_span, attention_mask=attention, min_masks=2
        )
        negatives = _sample_negative_indices((len(batch), frames), NEGATIVES, mask_time_indices=masked)
        found = {
            "input_values": inputs["input_values"],
            "mask_time_indices": torch.from_numpy(masked),
            "sampled_negative_indices": torch.from_numpy(negatives),
        }
        if "attention_mask" in self.extractor.model_input_names and self.extractor.return_attention_mask:
            found["attention_mask"] = inputs["attention_mask"]
        return {name: value.to(self.device) for name, value in found.items()}


def run(model: str, corpus: Corpus, folder: Path, device: str, runs: int) -> Table:
    """The same audio, as often."""
    passes = 2.0 if model == MINI else 1.0
    start = checkpoint(model, folder)
    kinds = {"Aftertone": Ours, "transformers": Transformers}
    contenders = [
        Contender(name=name, prepare=partial(kind, corpus, start, device, passes, folder / name))
        for name, kind in kinds.items()
    ]
    results = compete(contenders, runs)
    training, held_out = split(corpus.clips, seed=0)
    heard = passes * sum(clip.seconds for clip in training)
    judged = {"before": start, **{result.name: result.outcome for result in results}}
    losses = {name: _loss(path, start, training, held_out, corpus, device) for name, path in judged.items()}
    theirs = results[1]
    return Table(
        title=f"TAPT, {model}",
        about=f"{len(training)} clips, {passes:.0f} passes, {heard:.0f} s of audio in all, from waveforms to the saved "
        f"backbone. The contrastive loss on {len(held_out)} held-out clips, negatives by the codes of the start, was "
        f"{losses['before']:.3f} nats before. GB for the work are those beyond the loaded libraries and waveforms. "
        "So few passes teach neither much: what is compared is the time for the same audio.",
        columns=("s", "times as fast", "audio s/s", "GB", "share", "GB for the work", "share of that", "loss after"),
        rows={
            result.name: (
                f"{result.median:.1f}",
                ratio(theirs, result),
                f"{heard / result.median:.0f}",
                f"{result.memory:.2f}",
                f"{result.memory / theirs.memory:.2f}",
                f"{result.work:.2f}",
                f"{result.work / theirs.work:.2f}",
                f"{losses[result.name]:.3f}",
            )
            for result in results
        },
        results=results,
    )


def _loss(folder: Path, start: Path, training: list[Clip], held_out: list[Clip], corpus: Corpus, device: str) -> float:
    """In nats. The start's codes say which negatives count, or a backbone would be praised for choosing fewer codes."""
    runtime = Runtime(pool=Pool(corpus.folder), device=torch.device(device))
    trainers = [
        Pretrainer(found, training, held_out, settings(found, 1.0), runtime)
        for found in (load_backbone(str(folder)), load_backbone(str(start)))
    ]
    judged, first = (trainer._objectives[0] for trainer in trainers)
    assert isinstance(judged, Contrastive)
    assert isinstance(first, Contrastive)
    judged._start = first._start
    return trainers[0].validate().losses["contrastive"]
