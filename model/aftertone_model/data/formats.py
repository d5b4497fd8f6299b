"""The audio formats that are taken, and a file of one as a stream of blocks. Nothing else is ever opened."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import av
import soundfile
from av.error import FFmpegError
from numpy.typing import NDArray

from aftertone_model.data.decoding_protocol import HIGHEST_RATE, LOWEST_RATE
from aftertone_model.errors import AudioError

BLOCK_SAMPLES = 2**20  # of all channels together that libsndfile decodes at a time

SOUNDFILE_FORMATS = frozenset({"AIFF", "AU", "CAF", "FLAC", "MP3", "NIST", "OGG", "RF64", "VOC", "W64", "WAV", "WAVEX"})
"""What libsndfile may read: its other formats are of synthesisers and matrices, or name files of their own."""

FFMPEG_FORMATS = ("aac", "aiff", "amr", "asf", "au", "caf", "flac", "matroska", "mov", "mp3", "ogg", "w64", "wav")
"""FFmpeg's readers that may be used: no playlist, no network description, no picture, no subtitles."""

FFMPEG_CODECS = (
    *("aac", "ac3", "eac3", "alac", "amrnb", "amrwb", "flac", "gsm", "gsm_ms", "mp2", "mp2float", "mp3", "mp3float"),
    *("opus", "libopus", "vorbis", "wmav1", "wmav2", "wmapro", "wmalossless", "wmavoice"),
    *("adpcm_ima_qt", "adpcm_ima_wav", "adpcm_ms", "adpcm_yamaha", "pcm_alaw", "pcm_mulaw", "pcm_bluray"),
    *("pcm_u8", "pcm_s8", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_s32be"),
    *("pcm_f32le", "pcm_f32be", "pcm_f64le", "pcm_f64be"),
)
"""FFmpeg's decoders that may be used: those of sound alone, so that a video's pictures are never decoded."""

FFMPEG_OPTIONS = {
    "format_whitelist": ",".join(FFMPEG_FORMATS),
    "codec_whitelist": ",".join(FFMPEG_CODECS),
    "protocol_whitelist": "none",
}

BROKEN = (FFmpegError, OSError, ValueError)  # by damage; the second by a seek to nowhere, the third by a change of rate


@dataclass(frozen=True, kw_only=True)
class Stream:
    """An opened file: what its header says, and its samples a block at a time, so that a long file is never loaded."""

    rate: int  # samples per second of one channel
    header_seconds: float | None  # duration by the header, where it names one
    blocks: Iterator[NDArray[Any]]  # float32, (S, C) each, a column per channel; full scale at 1


def open_stream(file: BinaryIO) -> Stream:
    """The stream of a file at its beginning, by libsndfile (WAV, FLAC, OGG, MP3, ...) or else FFmpeg (M4A, WebM, ...).

    A file that breaks off in the middle gives what comes before: that plays in the annotators' browser too.

    Raises:
        AudioError: it is in none of the formats above, or has a sample rate that no recording has.
    """
    stream = soundfile_stream(file) or ffmpeg_stream(file)
    if not LOWEST_RATE <= stream.rate <= HIGHEST_RATE:
        raise AudioError(
            f"The file has a sample rate of {stream.rate} Hz; {LOWEST_RATE} to {HIGHEST_RATE} Hz can be used. Its "
            "header may be damaged: export it again."
        )
    return stream


def soundfile_stream(file: BinaryIO) -> Stream | None:
    """The stream as libsndfile reads it, or None where it doesn't know the format."""
    try:
        sound = soundfile.SoundFile(file)
    except (soundfile.LibsndfileError, TypeError):  # TypeError: a name ending in .raw makes it ask for a sample rate
        file.seek(0)
        return None
    if sound.format not in SOUNDFILE_FORMATS:
        raise _not_audio()

    def blocks() -> Iterator[NDArray[Any]]:
        length = max(1, min(sound.samplerate, BLOCK_SAMPLES // sound.channels))
        try:
            while (block := sound.read(length, dtype="float32", always_2d=True)).size:  # (S, channels)
                yield block
        except soundfile.LibsndfileError:
            return

    # A stream of unknown length announces the largest count there is: no more known than None.
    known = 0 < sound.frames < 2**60 and sound.samplerate > 0
    return Stream(
        rate=sound.samplerate, header_seconds=sound.frames / sound.samplerate if known else None, blocks=blocks()
    )


def ffmpeg_stream(file: BinaryIO) -> Stream:
    """The stream as FFmpeg reads it.

    Raises:
        AudioError: it reads none.
    """
    try:
        container = av.open(file, "r", container_options=FFMPEG_OPTIONS)
        audio = container.streams.audio[0]
    except (*BROKEN, IndexError) as error:
        raise _not_audio() from error
    codec = audio.codec_context
    if codec is None or codec.name not in FFMPEG_CODECS:  # None: a codec that FFmpeg has no decoder for
        container.close()
        raise _not_audio()
    codec.thread_count = 1

    def blocks() -> Iterator[NDArray[Any]]:
        to_float = av.AudioResampler(format="flt")  # in one plane: PyAV reads beyond the planes of more than 8 channels
        try:
            for decoded in container.decode(audio):
                for frame in to_float.resample(decoded):
                    yield frame.to_ndarray().reshape(-1, frame.layout.nb_channels)  # (S, channels)
        except BROKEN:
            return
        finally:
            container.close()

    seconds = container.duration / av.time_base if container.duration else None
    return Stream(rate=codec.sample_rate, header_seconds=seconds, blocks=blocks())


def _not_audio() -> AudioError:
    return AudioError("The file is not audio, or in a format that can't be decoded. Convert it to WAV or FLAC.")
