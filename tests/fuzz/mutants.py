"""Broken and hostile audio files, made from sound ones."""

import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

Make = Callable[["Mutator", bytes], bytes]
HEADER = 200  # bytes at a file's beginning in which most formats keep their header
NUMBERS = (0, 1, 2, 3, 7, 8, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
CHUNKS = (
    *(b"fmt ", b"data", b"fact", b"LIST", b"COMM", b"SSND", b"desc", b"pakt", b"kuki", b"moov", b"trak", b"mdia"),
    *(b"stbl", b"stsd", b"stsz", b"stco", b"stts", b"mdat", b"OggS", b"fLaC", b"ftyp", b"ds64", b"\x1aE\xdf\xa3"),
)


class Mutator:
    """Draws mutants of some files; the same seed gives the same ones."""

    def __init__(self, files: Mapping[str, bytes], canary: Path, port: int, seed: int) -> None:
        """
        Args:
            files: sound files by name.
            canary: a sound file that nothing may ever open.
            port: one on this machine that nothing may ever connect to.
        """
        self.files, self.canary, self.port = files, canary, port
        self.draw = np.random.default_rng(seed)
        self._names = sorted(files)

    def next(self) -> tuple[str, bytes]:
        """A mutant, with the kinds of change that were made to which file."""
        name = str(self.draw.choice(self._names))
        if self.draw.random() < 0.03:
            kind, text = self._pick(list(playlists(self.canary, self.port).items()))
            return f"playlist:{kind}", text
        content, made = self.files[name], [name]
        for _ in range(self.draw.integers(1, 4)):
            change = self._pick(CHANGES)
            content = change(self, content)
            made.append(change.__name__)
        return "+".join(made), content

    def at(self, content: bytes | bytearray, width: int = 1) -> int:
        """Somewhere in the content, mostly in its header."""
        end = max(len(content) - width, 1)
        return int(self.draw.integers(0, min(end, HEADER) if self.draw.random() < 0.7 else end))

    def number(self) -> int:
        """A number that headers are seldom ready for."""
        return int(self.draw.choice(NUMBERS)) if self.draw.random() < 0.7 else int(self.draw.integers(0, 2**32))

    def other(self) -> bytes:
        """Another of the sound files."""
        return self.files[str(self.draw.choice(self._names))]

    def _pick(self, options: Sequence):
        return options[int(self.draw.integers(len(options)))]


def flip_bits(mutator: Mutator, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(2 ** int(mutator.draw.integers(0, 7))):
        if changed:
            changed[mutator.at(changed)] ^= 1 << int(mutator.draw.integers(8))
    return bytes(changed)


def set_field(mutator: Mutator, content: bytes) -> bytes:
    packed = struct.pack(str(mutator.draw.choice(["<I", ">I", "<H", ">H", "<Q", ">Q"])), mutator.number() & 0xFFFF)
    if len(packed) > 2:
        packed = mutator.number().to_bytes(len(packed), "little" if mutator.draw.random() < 0.5 else "big")
    return overwritten(content, mutator.at(content, len(packed)), packed)


def lie_about_a_chunk(mutator: Mutator, content: bytes) -> bytes:
    found = [at for name in CHUNKS if (at := content.find(name)) >= 0]
    if not found:
        return content
    at = found[int(mutator.draw.integers(len(found)))]
    order = "little" if mutator.draw.random() < 0.5 else "big"
    where = at + 4 if mutator.draw.random() < 0.5 else max(at - 4, 0)  # RIFF's size follows its name, MP4's precedes
    return overwritten(content, where, mutator.number().to_bytes(4, order))


def cut_off(mutator: Mutator, content: bytes) -> bytes:
    return content[
        : mutator.at(content) if mutator.draw.random() < 0.5 else int(mutator.draw.integers(len(content) + 1))
    ]


def cut_out(mutator: Mutator, content: bytes) -> bytes:
    start = mutator.at(content)
    return content[:start] + content[start + int(mutator.draw.integers(1, 1_000)) :]


def repeat(mutator: Mutator, content: bytes) -> bytes:
    start = mutator.at(content)
    return (
        content[:start]
        + content[start : start + int(mutator.draw.integers(1, 5_000))] * int(mutator.draw.integers(2, 40))
        + content[start:]
    )


def splice(mutator: Mutator, content: bytes) -> bytes:
    other = mutator.other()
    return content[: mutator.at(content)] + other[mutator.at(other) :]


def follow(mutator: Mutator, content: bytes) -> bytes:
    return content + mutator.other()


def noise(mutator: Mutator, content: bytes) -> bytes:
    start, length = mutator.at(content), int(mutator.draw.integers(1, 4_000))
    return overwritten(content, start, mutator.draw.bytes(min(length, max(len(content) - start, 0))))


def prefix(mutator: Mutator, content: bytes) -> bytes:
    text = str(
        mutator.draw.choice(["#EXTM3U\n", "ffconcat version 1.0\n", "v=0\n", "ID3\x04\0\0\0\0\x0f\0", "<?xml?>"])
    )
    return text.encode() + content


def overwritten(content: bytes, at: int, what: bytes) -> bytes:
    """The content with something else at a place."""
    return content[:at] + what + content[at + len(what) :]


CHANGES: tuple[Make, ...] = (
    flip_bits, flip_bits, set_field, set_field, set_field, lie_about_a_chunk, lie_about_a_chunk,
    cut_off, cut_out, repeat, splice, follow, noise, prefix,
)  # fmt: skip


def playlists(canary: Path, port: int) -> dict[str, bytes]:
    """Texts that media programs take for a recording that lies elsewhere: in a file, or behind a port."""
    web = f"http://127.0.0.1:{port}/tone.wav"
    texts = {
        "ffconcat": f"ffconcat version 1.0\nfile {canary.name}\n",  # in the folder where the process runs
        "ffconcat-path": f"ffconcat version 1.0\nfile '{canary}'\n",
        "ffconcat-url": f"ffconcat version 1.0\nfile '{web}'\n",
        "m3u8": f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{canary}\n#EXT-X-ENDLIST\n",
        "m3u8-url": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{web}\n#EXT-X-ENDLIST\n",
        "m3u8-master": f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=9\n{web}\n",
        "m3u8-key": f'#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXT-X-KEY:METHOD=AES-128,URI="{web}"\n#EXTINF:9,\n{canary}\n',
        "m3u": f"#EXTM3U\n#EXTINF:9,tone\n{canary}\n",
        "sdp": f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio {port} RTP/AVP 0\n",
        "mpd": f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        f'mediaPresentationDuration="PT9S"><Period><AdaptationSet mimeType="audio/mp4"><Representation id="a" '
        f'bandwidth="9"><BaseURL>{web}</BaseURL></Representation></AdaptationSet></Period></MPD>',
        "asx": f'<asx version="3.0"><entry><ref href="{web}"/></entry></asx>',
        "asf-ref": f"[Reference]\nRef1={web}\nRef2={canary}\n",
        "pls": f"[playlist]\nFile1={canary}\nNumberOfEntries=1\n",
        "xspf": f'<playlist version="1" xmlns="http://xspf.org/ns/0/"><trackList><track><location>{web}</location>'
        "</track></trackList></playlist>",
        "cue": f'FILE "{canary}" WAVE\n  TRACK 01 AUDIO\n    INDEX 01 00:00:00\n',
        "smil": f'<smil><body><audio src="{web}"/></body></smil>',
        "ram": f"{web}\n",
        "rtsptext": f"RTSPtext\nrtsp://127.0.0.1:{port}/tone\n",
        "ism": f'<?xml version="1.0"?><SmoothStreamingMedia><StreamIndex Url="{web}"/></SmoothStreamingMedia>',
        "ffmetadata": f";FFMETADATA1\ntitle={canary}\n",
        "svg": f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{web}"/></svg>',
        "imf-cpl": f"<CompositionPlaylist><SegmentList><Path>{canary}</Path></SegmentList></CompositionPlaylist>",
    }
    return {kind: text.encode() for kind, text in texts.items()} | {"mov-alias": mov_alias(canary)}


def mov_alias(canary: Path) -> bytes:
    """An MP4 whose samples lie in another file, by a data reference of type `url `."""

    def box(name: bytes, *parts: bytes) -> bytes:
        content = b"".join(parts)
        return struct.pack(">I", len(content) + 8) + name + content

    full = bytes(4)
    url = b"file://" + str(canary).encode() + b"\0"
    entry = box(b"sowt", bytes(6), struct.pack(">H", 1), bytes(8), struct.pack(">HHHHI", 1, 16, 0, 0, 16_000 << 16))
    table = box(
        b"stbl",
        box(b"stsd", full, struct.pack(">I", 1), entry),
        box(b"stts", full, struct.pack(">III", 1, 16_000, 1)),
        box(b"stsc", full, struct.pack(">IIII", 1, 1, 16_000, 1)),
        box(b"stsz", full, struct.pack(">II", 2, 16_000)),
        box(b"stco", full, struct.pack(">II", 1, 44)),
    )
    reference = box(b"dinf", box(b"dref", full, struct.pack(">I", 1), box(b"url ", full, url)))
    media = box(
        b"mdia",
        box(b"mdhd", full, bytes(8), struct.pack(">IIHH", 16_000, 16_000, 0, 0)),
        box(b"hdlr", full, b"mhlr", b"soun", bytes(13)),
        box(b"minf", box(b"smhd", full, bytes(4)), reference, table),
    )
    header = box(b"mvhd", full, bytes(8), struct.pack(">II", 16_000, 16_000), bytes(80))
    return box(b"ftyp", b"qt  ", bytes(4)) + box(b"moov", header, box(b"trak", box(b"tkhd", bytes(84)), media))
