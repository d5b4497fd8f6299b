"""What the job reaches beyond this machine's disk: Label Studio, audio, and what decodes it."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from aftertone.labelstudio.client import LabelStudio
from aftertone.labelstudio.download import Fetcher
from aftertone.settings import Settings
from aftertone_model.data.decoders import Decoders

Services = tuple[LabelStudio, Fetcher, Decoders]


@contextmanager
def connect(settings: Settings) -> Iterator[Services]:
    """Label Studio, what fetches audio for its tasks, and what decodes it, as the settings say."""
    key = settings.label_studio_api_key.get_secret_value()
    with (
        closing(LabelStudio(settings.label_studio_url, key, timeout=settings.label_studio_timeout)) as label_studio,
        closing(
            Fetcher(
                label_studio,
                hosts=settings.audio_hosts,
                timeout=settings.audio_timeout,
                max_bytes=int(settings.max_audio_megabytes * 1e6),
            )
        ) as fetcher,
        Decoders() as decoders,
    ):
        yield label_studio, fetcher, decoders
