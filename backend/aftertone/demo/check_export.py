"""The exported model, tried as its users will: with transformers alone, and by the program that comes with it."""

import csv
import io
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import soundfile

from aftertone.demo.errors import DemoError
from aftertone.demo.processes import AFTERTONE
from aftertone_model.data.audio import SAMPLE_RATE, decode

EXPORT_SECONDS = 300
JUDGING_SECONDS = 300


def run_export(project: int, out: Path, environment: Mapping[str, str]) -> None:
    """Run `aftertone export` for the newest round, in place of an older export in `out`.

    Raises:
        DemoError: the command failed.
    """
    if out.exists():
        shutil.rmtree(out)
    export = [*AFTERTONE, "export", str(project), "--out", out]
    done = subprocess.run(export, env=dict(environment), capture_output=True, text=True, timeout=EXPORT_SECONDS)
    if done.returncode:
        raise DemoError(f"`aftertone export {project}` failed: {done.stderr.strip() or done.stdout.strip()}")


def try_export(folder: Path, clips: Sequence[Path]) -> dict[str, tuple[str, float]]:
    """Judge clips of one voice in each way that the export offers.

    Returns:
        Way -> the most probable label of the first clip and its probability.

    Raises:
        DemoError: an answer isn't a probability of each class.
    """
    ways = {"pipeline": try_model(folder, clips[0])}
    if (folder / "emotions.py").exists():  # a preset without a clip head has none
        ways["emotions.py"] = try_program(folder, clips)
    return ways


def try_model(folder: Path, clip: Path) -> tuple[str, float]:
    """Have a transformers pipeline classify `clip`.

    Returns:
        The most probable label and its probability.

    Raises:
        DemoError: the answer isn't a probability for each class.
    """
    from transformers import pipeline
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    classify = pipeline("audio-classification", model=str(folder))
    # Decoded here, since transformers would call a program (ffmpeg) that may not be installed.
    answers = classify({"raw": decode(clip), "sampling_rate": SAMPLE_RATE}, top_k=None)
    if abs(sum(answer["score"] for answer in answers) - 1) > 1e-3:
        raise DemoError(
            f"The model exported to {folder} gives no probabilities: {answers}. This is a bug in Aftertone."
        )
    return answers[0]["label"], float(answers[0]["score"])


def try_program(folder: Path, clips: Sequence[Path]) -> tuple[str, float]:
    """Have the export's own emotions.py judge clips of one voice together.

    Returns:
        The most probable label of the first clip and its probability.

    Raises:
        DemoError: it fails, or its answer isn't a probability of each class for each clip.
    """
    with TemporaryDirectory() as heard:
        for number, clip in enumerate(clips):
            soundfile.write(Path(heard) / f"{number:04d}.wav", decode(clip), SAMPLE_RATE, subtype="FLOAT")
        command = [sys.executable, folder / "emotions.py", heard]
        done = subprocess.run(command, capture_output=True, text=True, timeout=JUDGING_SECONDS)
    rows = list(csv.reader(io.StringIO(done.stdout)))[1:]  # file, label, probability of each class
    try:
        shares = [[float(share) for share in row[2:]] for row in rows]
    except ValueError:
        shares = []
    if done.returncode or len(shares) != len(clips) or any(abs(sum(row) - 1) > 1e-3 for row in shares):
        said = (done.stderr or done.stdout).strip()
        raise DemoError(f"emotions.py of the model exported to {folder} gives no probabilities: {said}")
    return rows[0][1], max(shares[0])
