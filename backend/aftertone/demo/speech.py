"""A corpus for those who have none: espeak-ng speaks, and emotion is nothing but prosody.

It demonstrates the loop, not speech emotion recognition: real feelings don't follow a table of four numbers.
"""

import csv
import ctypes
import os
import subprocess
import sys
import wave
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from aftertone.demo.errors import DemoError
from aftertone_model.data.manifest import read_manifest

CLIPS = 240  # enough for a seed set and a few rounds, spoken in half a minute


PROSODY = {
    "neutral": (165, 95, 45, 45),
    "happy": (195, 115, 72, 90),
    "angry": (215, 170, 45, 75),
    "sad": (120, 60, 30, 15),
}
"""How an emotion is spoken: words per minute, volume, pitch, and how far the pitch moves within a sentence.

Directions as in Juslin and Laukka (2003), table 11; the sizes are made up.
"""
LOWEST, HIGHEST = (80, 20, 0, 0), (450, 200, 100, 100)  # that espeak-ng is asked for
DEVIATION = (15, 15, 9, 10)  # from clip to clip, as from speaker to speaker and day to day

SENTENCES = {
    "en": (
        "The letter is lying on the kitchen table.",
        "She will be back on Thursday evening.",
        "They have moved the meeting to the small room.",
        "I put the keys where you told me.",
        "The train leaves from the other platform.",
        "He said that he had seen it before.",
    ),
    "de": (
        "Der Brief liegt auf dem Küchentisch.",
        "Sie kommt am Donnerstag wieder zurück.",
        "Heute Abend könnte ich es ihm sagen.",
        "Der Zug fährt von einem anderen Gleis.",
        "Ich habe die Schlüssel dorthin gelegt.",
        "Er hat gesagt, dass er es schon kennt.",
    ),
    "es": (
        "La carta está sobre la mesa de la cocina.",
        "Ella vuelve el jueves por la tarde.",
        "El tren sale de la otra vía.",
        "He dejado las llaves donde me dijiste.",
        "Han cambiado la reunión a la sala pequeña.",
        "Dijo que ya lo había visto antes.",
    ),
    "fr": (
        "La lettre est sur la table de la cuisine.",
        "Elle revient jeudi dans la soirée.",
        "Le train part de l'autre quai.",
        "J'ai mis les clés là où tu m'as dit.",
        "La réunion a lieu dans la petite salle.",
        "Il a dit qu'il l'avait déjà vu.",
    ),
}
"""Sentences that any feeling may be spoken with."""

VOICES = tuple(
    (language, f"{language}+{timbre}") for language in SENTENCES for timbre in ("m1", "f2", "m3", "f4", "m7", "f5")
)
"""(language, name of the espeak-ng voice): each is one speaker."""


def speak_corpus(folder: Path, clips: int, *, seed: int, spoken: Callable[[int], None]) -> Path:
    """Speak `clips` sentences into `folder` and return the path of their manifest.csv.

    Clip number i is the same whatever `clips` is; a corpus that is there and large enough is left as it is.

    Args:
        spoken: called with the number of clips done.

    Raises:
        DemoError: the synthesiser is missing or fails.
    """
    manifest = folder / "manifest.csv"
    if manifest.exists() and len(read_manifest(manifest)) >= clips:
        return manifest
    folder.mkdir(parents=True, exist_ok=True)
    # Its own process, always from the first clip on: espeak-ng carries state from one sentence into the next.
    command = [sys.executable, "-m", "aftertone.demo.speech", os.fspath(folder), str(clips), str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as speaker:
        assert speaker.stdout is not None
        assert speaker.stderr is not None
        for line in speaker.stdout:
            spoken(int(line))
        complaint = speaker.stderr.read().strip()
    if speaker.returncode:
        raise DemoError(
            f"The speech synthesiser failed: {complaint.splitlines()[-1] if complaint else speaker.returncode}\n"
            "Run `make setup` or `pip install aftertone[demo]`, or give AUDIO=<folder or manifest.csv>."
        )
    return manifest


def _speak(folder: Path, clips: int, seed: int) -> None:
    voice = _Synthesiser(seed)
    rows = []
    for number in range(clips):
        rng = np.random.default_rng([seed, number])
        language, name = VOICES[rng.integers(len(VOICES))]
        sentence = SENTENCES[language][rng.integers(len(SENTENCES[language]))]
        emotion = list(PROSODY)[rng.integers(len(PROSODY))]
        path = folder / f"clip-{number:05d}.wav"
        rate, pitch, span, volume = rng.normal(size=4)
        varied = np.array(PROSODY[emotion]) + np.array(DEVIATION) * (rate, volume, pitch, span)
        voice.speak(sentence, name, np.clip(varied, LOWEST, HIGHEST).astype(int).tolist(), path)
        rows.append({"path": path.name, "emotion": emotion, "speaker": name, "transcript": sentence})
        print(number + 1, flush=True)
    manifest, draft = folder / "manifest.csv", folder / "manifest.csv.part"
    with draft.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=["path", "emotion", "speaker", "transcript"])
        writer.writeheader()
        writer.writerows(rows)
    draft.replace(manifest)


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class _Synthesiser:
    """espeak-ng through its C interface (speak_lib.h), which keeps one voice per process."""

    _SYNCHRONOUS, _UTF8, _CHARACTERS = 2, 1, 1

    def __init__(self, seed: int) -> None:
        import espeakng_loader

        self._espeak = ctypes.CDLL(espeakng_loader.get_library_path())
        data = os.fsencode(espeakng_loader.get_data_path())
        self._samplerate = self._espeak.espeak_Initialize(self._SYNCHRONOUS, 0, data, 0)
        if self._samplerate <= 0:
            raise DemoError("espeak-ng finds no voices where espeakng-loader should have put them.")
        self._espeak.espeak_ng_SetRandSeed(ctypes.c_long(seed))
        self._spoken: list[bytes] = []
        self._callback = _Callback(self._collect)  # kept, since C holds only its address
        self._espeak.espeak_SetSynthCallback(self._callback)

    def speak(self, sentence: str, voice: str, prosody: Sequence[int], path: Path) -> None:
        """Write a 16-bit mono WAV file, whole or not at all."""
        if self._espeak.espeak_SetVoiceByName(voice.encode()):
            raise DemoError(f"espeak-ng has no voice {voice}.")
        for parameter, value in enumerate(prosody, 1):  # espeakRATE, espeakVOLUME, espeakPITCH, espeakRANGE
            self._espeak.espeak_SetParameter(parameter, value, 0)
        self._spoken.clear()
        text = sentence.encode()
        self._espeak.espeak_Synth(text, len(text) + 1, 0, self._CHARACTERS, 0, self._UTF8, None, None)
        draft = path.with_suffix(".part")
        with wave.open(os.fspath(draft), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(self._samplerate)
            file.writeframes(b"".join(self._spoken))
        draft.replace(path)

    def _collect(self, samples: "ctypes._Pointer[ctypes.c_short]", count: int, _events: int | None) -> int:
        if samples and count:
            self._spoken.append(ctypes.string_at(samples, 2 * count))
        return 0  # go on


if __name__ == "__main__":
    _speak(Path(sys.argv[1]), clips=int(sys.argv[2]), seed=int(sys.argv[3]))
