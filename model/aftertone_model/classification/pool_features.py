"""One backbone's features of a pool's clips: computed once, standardised by speaker, compared, and learned from."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aftertone_model.backbones.backbone import Backbone
from aftertone_model.backbones.families import SpeechClassifier
from aftertone_model.classification.classifier import new_classifier
from aftertone_model.classification.clip_head import ClipHead, Reading, describe, fit_clip_head
from aftertone_model.classification.layer_cache import LayerCache, same_body
from aftertone_model.classification.scoring import extract_features, read_pool
from aftertone_model.config import TrainingConfig
from aftertone_model.data.clips import Clip
from aftertone_model.labels import LabelSchema
from aftertone_model.runtime import Runtime

CHUNK = 4_096  # clips whose layers are held at once


class PoolFeatures:
    """Of one backbone, as a config says clips are described."""

    def __init__(self, backbone: Backbone, schema: LabelSchema, runtime: Runtime, config: TrainingConfig) -> None:
        self._backbone, self._schema, self._runtime, self._config = backbone, schema, runtime, config
        self.cache = LayerCache(runtime.pool.folder, backbone)  # of the backbone's layers; read from disk once
        self._last: tuple[list[Clip], Reading] | None = None  # pool that was read, and how

    def untrained_classifier(self) -> SpeechClassifier:
        """The backbone, unchanged, in the form that features are read from."""
        return new_classifier(self._backbone, self._schema, mix_layers=self._config.mix_layers, seed=self._runtime.seed)

    def cache_for(self, classifier: SpeechClassifier) -> LayerCache | None:
        """The cache, for a classifier whose transformer is the backbone's own."""
        return self.cache if same_body(classifier, self._backbone) else None

    def represent(self, clips: Sequence[Clip]) -> NDArray[np.float32]:
        """(N, P) of each clip, rows in their order: what a clip head would embed, had it been trained on them."""
        if not clips:
            return np.empty((0, 1), np.float32)
        reader = self.untrained_classifier()
        reading = self._reading(reader, clips)
        found = np.empty((len(clips), reading.projection.shape[1]), np.float32)
        for start in range(0, len(clips), CHUNK):
            part = clips[start : start + CHUNK]
            layers = extract_features(reader, part, self._runtime, cache=self.cache, stage="represent")
            features = describe(layers, deviation=self._config.deviation)
            found[start : start + CHUNK] = reading.embed(features, [clip.speaker for clip in part]).cpu().numpy()
        return found

    def fit_head(
        self,
        classifier: SpeechClassifier,
        labelled: Sequence[Clip],
        labels: NDArray[np.floating],
        pool: Sequence[Clip],
    ) -> ClipHead:
        """A clip head on what the classifier's transformer makes of labelled clips.

        Args:
            labels: (N, C) of the N labelled clips, hard or soft.
            pool: all clips of the speakers, from which their locations follow; no label of theirs is needed.
        """
        reading = self._reading(classifier, pool)
        cache = self.cache_for(classifier)
        features = extract_features(classifier, labelled, self._runtime, cache=cache, stage="features")
        return fit_clip_head(
            describe(features, deviation=self._config.deviation),
            [clip.speaker for clip in labelled],
            labels,
            reading,
            self._schema,
            c=self._config.clip_head_c,
            max_class_weight=self._config.max_class_weight,
        )

    def _reading(self, classifier: SpeechClassifier, clips: Sequence[Clip]) -> Reading:
        """How a pool's features are read. The backbone's own reading is kept, as pools rarely change between rounds."""
        clips, cache = sorted(clips, key=lambda clip: clip.id), self.cache_for(classifier)
        if cache is not None and self._last is not None and self._last[0] == clips:
            return self._last[1]
        reading = read_pool(
            classifier,
            clips,
            self._runtime,
            deviation=self._config.deviation,
            by_speaker=self._config.speakers,
            damped=self._config.damping,
            cache=cache,
        )
        if cache is not None:
            self._last = clips, reading
        return reading
