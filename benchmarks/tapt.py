"""What TAPT from the tiny random backbone learns on a corpus: its loss curve, its verdict, and its speed.

    python -m benchmarks.tapt MANIFEST > docs/benchmarks/tapt.md

Decodes the corpus, runs TAPT with the settings that a randomly drawn backbone gets, and prints a table: per validation
the contrastive and reconstruction loss on held-out clips and the code perplexity. Where no other jobs share the
machine's cores the seconds are comparable between machines.
"""

import argparse
import platform
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import torch
from tqdm import tqdm

from aftertone.progress import ProgressBars
from aftertone_model.backbones.backbone import load_backbone
from aftertone_model.config import TAPT_PROFILES
from aftertone_model.data.audio import decode
from aftertone_model.data.clips import Clip
from aftertone_model.data.manifest import read_manifest
from aftertone_model.data.pool import Pool
from aftertone_model.errors import AudioError
from aftertone_model.pretraining.record import Adaptation
from aftertone_model.pretraining.run import adapt
from aftertone_model.runtime import Runtime, device_named


def read_clips(manifest: Path, pool: Pool, limit: int | None) -> list[Clip]:
    """The corpus' clips, each content once; what can't be decoded is left out and named."""
    clips: dict[str, Clip] = {}
    for row in tqdm(read_manifest(manifest)[:limit], desc="decode", mininterval=2):
        try:
            clip = pool.add(decode(row.path))
        except AudioError as error:
            tqdm.write(f"{row.path}: {error}")
        else:
            clips[clip.id] = clip
    return list(clips.values())


def table(adaptation: Adaptation, cpu: str) -> str:
    lines = [
        "# TAPT from the tiny random backbone",
        "",
        f"{adaptation.reason}",
        "",
        f"{adaptation.seconds_of_audio / 3600:.2f} h of audio in {adaptation.clips} clips, of which "
        f"{adaptation.held_out} held out; {adaptation.mask_ratio:.1%} of frames masked; {adaptation.steps} steps in "
        f"{adaptation.seconds:.0f} s on {cpu}, {torch.get_num_threads()} threads.",
        "",
        f"torch {version('torch')}, transformers {version('transformers')}, Python {platform.python_version()}.",
        "",
        "| step | contrastive, nats | of the start | reconstruction, nats | code perplexity |",
        "| --- | --- | --- | --- | --- |",
    ]
    start = adaptation.curve[0].losses["contrastive"]
    lines += [
        f"| {at.step} | {at.losses['contrastive']:.3f} | {at.losses['contrastive'] / start:.0%} "
        f"| {at.losses['reconstruction']:.2f} | {at.perplexity:.0%} of its maximum |"
        for at in adaptation.curve
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path, help="a manifest.csv, or a folder of audio files")
    parser.add_argument("--limit", type=int, help="clips of the corpus to use; all by default")
    parser.add_argument(
        "--passes", type=float, help="how often the audio is gone through; by default as in the product"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--pool", type=Path, help="a folder to keep clips and frames in, for another run")
    args = parser.parse_args(arguments)

    bars = ProgressBars()
    with tempfile.TemporaryDirectory() as scratch:
        pool = Pool(args.pool or Path(scratch) / "pool")
        clips = read_clips(args.manifest, pool, args.limit)
        backbone = load_backbone("tiny", seed=args.seed)
        config = TAPT_PROFILES[backbone.tapt_profile]
        if args.passes is not None:
            config = replace(config, passes=args.passes)
        runtime = Runtime(pool=pool, device=device_named(args.device), seed=args.seed, progress=bars)
        adaptation = adapt(backbone, clips, config, Path(scratch) / "adapted", runtime)
        bars.close()
    print(table(adaptation, f"{args.device} ({platform.machine()})"))


if __name__ == "__main__":
    main()
