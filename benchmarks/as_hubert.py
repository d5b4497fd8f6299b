"""The bundled backbone's weights as a HuBERT, whose TAPT predicts units instead of telling frames apart.

    python -m benchmarks.as_hubert FOLDER

HuBERT and wav2vec 2.0 have the same body; the quantiser is left out. FOLDER is then a BACKBONE as any other.
"""

import argparse
from pathlib import Path

from transformers import HubertConfig, HubertModel

from aftertone_model.backbone_names import MINI
from aftertone_model.backbones.backbone import Backbone, load_backbone
from aftertone_model.progress import hide_library_bars


def as_hubert() -> Backbone:
    """The bundled backbone, of another class."""
    mini = load_backbone(MINI)
    shared = {
        name: value for name, value in mini.config.to_dict().items() if name not in ("model_type", "architectures")
    }
    hubert = HubertModel(HubertConfig(**shared)).eval()
    hubert.load_state_dict(mini.body.state_dict())
    return Backbone(hubert)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="to write it to")
    hide_library_bars()
    as_hubert().save(parser.parse_args().folder)
