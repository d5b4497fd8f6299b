"""Audio files that tests use: tones, in every container that is taken."""

import io
from collections.abc import Callable
from functools import partial
from typing import cast

import av
import numpy as np
import soundfile
from av.audio import AudioStream
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
Encode = Callable[[NDArray[np.float32], int], bytes]


def tone(seconds: float, rate: int = SAMPLE_RATE, channels: int = 1, hertz: float = 440.0) -> NDArray[np.float32]:
    """A sine of half full scale, (S, channels)."""
    wave = 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return np.repeat(wave[:, None], channels, axis=1).astype(np.float32)


def encoded(
    samples: NDArray[np.float32], rate: int = SAMPLE_RATE, kind: str = "WAV", subtype: str | None = None
) -> bytes:
    """Samples (S, channels) as libsndfile writes them."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


def muxed(samples: NDArray[np.float32], rate: int, *, container: str, codec: str) -> bytes:
    """The first channel of samples (S, channels) as FFmpeg writes it."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = cast(AudioStream, output.add_stream(codec, rate=rate, layout="mono"))
        if codec == "wmav2":  # has no default
            stream.bit_rate = 32_000
        frame = av.AudioFrame.from_ndarray(samples[None, :, 0].copy(), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = rate, 0
        to_codec = av.AudioResampler(stream.format, "mono", rate, stream.codec_context.frame_size or None)
        for ready in (*to_codec.resample(frame), *to_codec.resample(None)):
            output.mux(stream.encode(ready))
        output.mux(stream.encode(None))
    return file.getvalue()


def _soundfile(kind: str, subtype: str | None = None) -> Encode:
    return partial(encoded, kind=kind, subtype=subtype)


def _ffmpeg(container: str, codec: str) -> Encode:
    return partial(muxed, container=container, codec=codec)


def _amr(samples: NDArray[np.float32], rate: int) -> bytes:
    return muxed(samples[:: rate // 8_000], 8_000, container="amr", codec="libopencore_amrnb")  # takes 8 kHz alone


CONTAINERS: dict[str, Encode] = {
    "pcm16.wav": _soundfile("WAV"),
    "float.wav": _soundfile("WAV", "FLOAT"),
    "ima.wav": _soundfile("WAV", "IMA_ADPCM"),
    "ms.wav": _soundfile("WAV", "MS_ADPCM"),
    "gsm.wav": _soundfile("WAV", "GSM610"),
    "extensible.wav": _soundfile("WAVEX"),
    "rf64.wav": _soundfile("RF64"),
    "wave64.w64": _soundfile("W64"),
    "sphere.nist": _soundfile("NIST"),
    "voice.voc": _soundfile("VOC"),
    "pcm.aiff": _soundfile("AIFF"),
    "ima.aif": _soundfile("AIFF", "IMA_ADPCM"),
    "mulaw.au": _soundfile("AU", "ULAW"),
    "alac.caf": _soundfile("CAF", "ALAC_16"),
    "pcm.flac": _soundfile("FLAC"),
    "vorbis.ogg": _soundfile("OGG", "VORBIS"),
    "flac.oga": _ffmpeg("oga", "flac"),
    "opus.opus": _soundfile("OGG", "OPUS"),
    "layer3.mp3": _soundfile("MP3"),
    "aac.aac": _ffmpeg("adts", "aac"),
    "aac.m4a": _ffmpeg("mp4", "aac"),
    "alac.m4a": _ffmpeg("ipod", "alac"),
    "mp3.mp4": _ffmpeg("mp4", "libmp3lame"),
    "opus.mka": _ffmpeg("matroska", "libopus"),
    "flac.mka": _ffmpeg("matroska", "flac"),
    "opus.webm": _ffmpeg("webm", "libopus"),
    "opus.weba": _ffmpeg("webm", "libopus"),
    "wmav2.wma": _ffmpeg("asf", "wmav2"),
    "narrow.amr": _amr,
}
"""How samples (S, 1) at a rate become a file of each kind; the names end as such files do."""
