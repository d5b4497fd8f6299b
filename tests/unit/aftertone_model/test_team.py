"""Two processes that train together come to the weights that one comes to alone."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, distributed

from aftertone_model.backbones.backbone import Backbone, load_backbone
from aftertone_model.classification.finetune import finetune
from aftertone_model.config import PRACTICAL, PretrainingConfig, Stage, Tuning
from aftertone_model.data.clips import Clip
from aftertone_model.data.pool import Pool
from aftertone_model.labels import SingleChoice
from aftertone_model.pretraining.trainer import Pretrainer
from aftertone_model.runtime import Runtime
from aftertone_model.team import Team, present_team
from tests.backbones import SHAPE, drawn

STILL = {"hidden_dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0, "feat_proj_dropout": 0.0}
"""Without dropout, which each process would draw of its own."""
TAPT = PretrainingConfig(learning_rate=3e-3, mask_span=1, units=8, batch_seconds=4.0, passes=2.0)
TUNE = replace(PRACTICAL, updates=6, epochs=1, batch_seconds=3.0, encoder_rate=1e-3, dropout=0.0, standardise=False)
NO_EFFECT = "k_proj.bias"
"""Adds the same to all of a query's scores, which softmax takes out: its gradient is rounding alone, and Adam makes
that as large as any other."""
ROOT = Path(__file__).parents[3]
RUN = "from tests.unit.aftertone_model.test_team import main; main()"


def backbone_of(folder: Path) -> Backbone:
    return load_backbone(str(folder / "backbone"))


def tuned(folder: Path) -> dict[str, Tensor]:
    """The weights after fine-tuning the whole transformer on nine clips, so that shares are unequal."""
    pool = Pool(folder / "pool")
    clips = [Clip(id=id, seconds=pool.clip(id).seconds) for id in sorted(pool.clip_ids())][:9]
    labels, schema = np.eye(3)[np.arange(9) % 3], SingleChoice(classes=("a", "b", "c"))
    stages, runtime = [Stage(tuning=Tuning.FULL)], Runtime(pool=pool)
    return finetune(backbone_of(folder), schema, clips, labels, TUNE, runtime, stages=stages).classifier.state_dict()


def adapted(folder: Path) -> dict[str, Tensor]:
    """The weights after some steps of TAPT."""
    pool = Pool(folder / "pool")
    clips = [pool.clip(id) for id in sorted(pool.clip_ids())]
    trainer = Pretrainer(backbone_of(folder), clips[2:], clips[:2], TAPT, Runtime(pool=pool))
    trainer.settle()
    for number, batch in zip(range(4), trainer.schedule(), strict=False):
        trainer.step(number, batch)
    return {name: weight.detach() for name, weight in trainer.weights().items()}


def main() -> None:
    """One of two processes."""
    folder, rank = Path(os.environ["TEAM_FOLDER"]), int(os.environ["RANK"])
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=2)
    assert present_team() == Team(rank=rank, size=2)
    for work in (tuned, adapted):
        save_file({name: w.contiguous() for name, w in work(folder).items()}, folder / f"{work.__name__}-{rank}")
    distributed.destroy_process_group()


def test_two_gloo_processes_come_to_one_processs_weights(tmp_path: Path) -> None:
    from transformers import HubertConfig, HubertModel

    drawn(HubertModel, HubertConfig.from_dict({**SHAPE, **STILL, "layerdrop": 0.0})).save(tmp_path / "backbone")
    pool, rng = Pool(tmp_path / "pool"), np.random.default_rng(0)
    for number in range(12):
        time = np.arange(int(16_000 * rng.uniform(0.3, 0.8))) / 16_000
        pool.add((0.5 * np.sin(2 * np.pi * 200 * (1 + number % 3) * time)).astype(np.float32))
    alone = {work.__name__: work(tmp_path) for work in (tuned, adapted)}  # caches what the two then share
    environment = {**os.environ, "TEAM_FOLDER": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    both = [
        subprocess.Popen([sys.executable, "-c", RUN], cwd=ROOT, env={**environment, "RANK": str(rank)})
        for rank in range(2)
    ]
    try:
        assert [process.wait(300) for process in both] == [0, 0]
    finally:
        for process in both:
            process.kill()
    before = backbone_of(tmp_path).body.state_dict()
    for name, weights in alone.items():
        assert any(
            key.endswith(own) and not torch.equal(w, before[own]) for key, w in weights.items() for own in before
        )
        for rank in range(2):
            found = load_file(tmp_path / f"{name}-{rank}")
            assert found.keys() == weights.keys()
            apart = {key: float((found[key] - weight).abs().max()) for key, weight in weights.items()}
            assert {key: by for key, by in apart.items() if by > 1e-5 and NO_EFFECT not in key} == {}


def test_alone_nothing_is_shared_out() -> None:
    rows = np.arange(5)
    assert present_team() == Team()
    assert np.array_equal(Team().own(rows), rows)
    pair = [Team(rank=rank, size=2).own(rows) for rank in range(2)]
    assert sorted(np.concatenate(pair)) == list(rows)
    loss = torch.tensor(2.0)
    assert Team().add_up([], loss) is loss
