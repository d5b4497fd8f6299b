"""The exported model, tried as its users will: with transformers alone."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from aftertone.demo.errors import DemoError
from aftertone.demo.processes import AFTERTONE
from aftertone_model.data.audio import SAMPLE_RATE, decode

EXPORT_SECONDS = 300


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
