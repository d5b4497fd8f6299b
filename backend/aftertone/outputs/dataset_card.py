"""The card of a data set folder: what is in it, and the metadata that `datasets` and the Hugging Face hub read."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from huggingface_hub import DatasetCardData

from aftertone_model.export.model_card import EU
from aftertone_model.labels import LabelSchema, Ratings

SPLITS = ("train", "test", "unlabelled")


def dataset_card(
    name: str, lines: Mapping[str, Sequence[Mapping[str, Any]]], schema: LabelSchema, *, annotators: int, speakers: int
) -> str:
    """The card as Markdown.

    Args:
        name: title.
        lines: split -> its rows of metadata; only splits that have some.
        annotators: number of people who labelled.
        speakers: number of voices that are known.
    """
    splits = [split for split in SPLITS if split in lines]
    data = DatasetCardData(
        pretty_name=name,
        license="other",
        license_name="that-of-the-audio",
        license_link="README.md",
        task_categories=["audio-classification"],
        tags=["speech-emotion-recognition", "aftertone"],
        configs=[
            {"config_name": "default", "data_files": [{"split": one, "path": f"{one}/**"} for one in splits]},
        ],
    )
    column = "ratings" if isinstance(schema, Ratings) else "soft_label"
    numbers = (
        "the mean rating in each dimension, in the units of its scale"
        if isinstance(schema, Ratings)
        else "each class's share of the votes"
    )
    counted = "\n".join(f"| {split} | {len(lines[split])} | {_labels(lines[split])} |" for split in splits)
    return f"""---
{data.to_yaml()}
---

# {name}

```sh
pip install 'datasets[audio]'    # brings torchcodec, which needs ffmpeg's libraries
```

```python
from datasets import load_dataset

clips = load_dataset("path/to/this/folder")
```

Without ffmpeg, read each split's `metadata.parquet` with pandas and its FLAC files with soundfile.

| split | clips | labels |
| --- | --- | --- |
{counted}

`train` are labelled clips that models learned from, `test` is a random part of the annotators' queue that none learned
from. Labels of `train` were asked for by active learning: they are no random sample of `unlabelled`.

Clips are FLAC, 16 kHz, mono, 16 bits. {annotators} people labelled; {speakers} voices are known. Both have
pseudonyms, numbered as they are met in this folder; the audio itself may still tell who speaks.

| column | what it says |
| --- | --- |
| `task` | number of the task in Label Studio |
| `seconds`, `speaker` | length; who speaks, where that is known |
| `label` | what annotators agree on; none where votes tie |
| `{column}` | {numbers} |
| `voters` | people who answered with something that the question offers |
| `votes` | what each of them chose |

## Intended use

{EU}

The licence is that of the audio, which Aftertone doesn't know. Look it up, and whether the speakers agreed, before you
pass this folder on.
"""


def _labels(rows: Sequence[Mapping[str, Any]]) -> str:
    counts = Counter(row["label"] for row in rows if row["label"] is not None)
    shown = ", ".join(f"{label} {count}" for label, count in counts.most_common(12))
    return shown + (", ..." if len(counts) > 12 else "")
