"""Pre-training a backbone on unlabelled speech: TAPT's own code, with the CNN learning too."""

import logging
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import torch
from transformers import Wav2Vec2Config, Wav2Vec2ForPreTraining

from aftertone_model.backbones.backbone import Backbone, load_backbone
from aftertone_model.backbones.mini import draw_mini
from aftertone_model.config import CONTINUED, FROM_SCRATCH, PretrainingConfig
from aftertone_model.data.corpus import decode_corpus
from aftertone_model.data.files import whole_folder
from aftertone_model.data.manifest import read_manifest
from aftertone_model.data.pool import Pool
from aftertone_model.errors import BackboneError
from aftertone_model.pretraining.record import Adaptation, read_adaptation
from aftertone_model.pretraining.run import adapt
from aftertone_model.pretraining.teachers.registry import load_teachers
from aftertone_model.progress import Progress, silent
from aftertone_model.runtime import Runtime, device_named

log = logging.getLogger(__name__)


def pretrain(
    manifest: Path,
    folder: Path,
    *,
    work: Path,
    config: Path | None = None,
    start: str | None = None,
    teachers: Sequence[str] = (),
    pretraining: PretrainingConfig | None = None,
    speeds: Sequence[float] = (1.0,),
    seed: int = 0,
    device: str = "cpu",
    progress: Progress = silent,
) -> Adaptation:
    """Pre-train a wav2vec 2.0 and save it in float16, with its record, as `folder`.

    Audio is decoded into `work` once and read from there a batch at a time. A run that was killed goes on from its last
    validation when it is called again with the same arguments.

    Args:
        manifest: a manifest.csv or a folder of audio files.
        folder: complete or absent; where it is complete its record is returned as it stands.
        work: decoded clips, the teacher's embeddings and checkpoints are kept here; may be deleted afterwards.
        config: a config.json of a `Wav2Vec2Config`; aftertone-mini's shape by default.
        start: a backbone, as `load_backbone` takes it, to go on from instead of random weights.
        teachers: what `load_teachers` takes.
        pretraining: FROM_SCRATCH, or CONTINUED with a start, by default.
        speeds: each clip is taken at each of these speeds, see `decode_corpus`.

    Raises:
        ManifestError, TeacherError, BackboneError: the message says what to change.
    """
    found = read_adaptation(folder)
    if found is not None:
        return found
    if start is not None:
        backbone = load_backbone(start, seed=seed)
    else:
        backbone = Backbone(draw_mini(seed) if config is None else _drawn(config, seed), random_codes=True)
    settings = pretraining or (FROM_SCRATCH if start is None else CONTINUED)
    taught = load_teachers(teachers)
    pool = Pool(work / "pool")
    decoded = decode_corpus(pool, [row.path for row in read_manifest(manifest)], speeds=speeds, progress=progress)
    for line in decoded.refused:
        log.warning("Left out: %s", line)
    clips = [pool.clip(id) for id in dict.fromkeys(chain.from_iterable(decoded.clips))]
    runtime = Runtime(pool=pool, device=device_named(device), seed=seed, progress=progress)
    adaptation = adapt(backbone, clips, settings, work / "pretrained", runtime, taught)
    with whole_folder(folder) as scratch:
        pretrained = load_backbone(str(work / "pretrained"))
        pretrained.model.half()
        pretrained.save(scratch)
        adaptation.write(scratch)
    return adaptation


def _drawn(config: Path, seed: int) -> Wav2Vec2ForPreTraining:
    try:
        shape = Wav2Vec2Config.from_json_file(config)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return Wav2Vec2ForPreTraining(shape).eval()
    except (OSError, ValueError, TypeError) as error:
        raise BackboneError(
            f"{config} is no config.json of a wav2vec 2.0 ({str(error).splitlines()[0]}). Take one that "
            "Wav2Vec2Config.save_pretrained wrote."
        ) from error
