"""The exported model, tried as its users will: with transformers alone."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import soundfile

from aftertone.demo.errors import DemoError
from aftertone_model.data.audio import SAMPLE_RATE, decode

EXPORT_SECONDS = 300


def run_export(command: Path, project: int, out: Path, environment: Mapping[str, str]) -> None:
    """Run `aftertone export` for the newest round, in place of an older export in `out`.

    Raises:
        DemoError: the command failed.
    """
    if out.exists():
        shutil.rmtree(out)
    export = [command, "export", str(project), "--out", out]
    done = subprocess.run(export, env=dict(environment), capture_output=True, text=True, timeout=EXPORT_SECONDS)
    if done.returncode:
        raise DemoError(f"`aftertone export {project}` failed: {done.stderr.strip() or done.stdout.strip()}")


def try_model(folder: Path, clip: Path, wav: Path) -> tuple[str, float]:
    """Write `clip` as the WAV file `wav` and have a transformers pipeline classify that.

    Returns:
        The most probable label and its probability.

    Raises:
        DemoError: the answer isn't a probability for each class.
    """
    from transformers import pipeline
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    soundfile.write(wav, decode(clip), SAMPLE_RATE)
    classify = pipeline("audio-classification", model=str(folder))
    # Decoded here, since transformers would call a program (ffmpeg) that may not be installed.
    waveform, rate = soundfile.read(wav, dtype="float32")
    answers = classify({"raw": waveform, "sampling_rate": rate}, top_k=None)
    if abs(sum(answer["score"] for answer in answers) - 1) > 1e-3:
        raise DemoError(
            f"The model exported to {folder} gives no probabilities: {answers}. This is a bug in Aftertone."
        )
    return answers[0]["label"], float(answers[0]["score"])
