"""Turn the run of recipes/pretrain_tiny.toml into the weights that ship with tlkit: `python recipes/pack_tiny.py RUN`.

The weights are rounded to float16 and keep their names in the bundle; the classifier goes along, so that the accuracy on
Tiny ImageNet can be measured again (benchmarks/tiny_top1.py).
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save

from tlkit.backbones.weights import BUNDLED_FILES
from tlkit.data.images import LOADER_VERSION
from tlkit.models.storage import WEIGHTS_FILE, find_bundle, read_spec


def pack(run: Path, target: Path) -> None:
    """Write the weights of a finished run as float16 and say what was written."""
    spec = read_spec(run, loader_version=LOADER_VERSION)
    weights = load_file(find_bundle(run) / WEIGHTS_FILE)
    rounded = {name: array.astype(np.float16) for name, array in weights.items()}
    overflown = [name for name, array in rounded.items() if not np.isfinite(array).all()]
    if overflown:
        sys.exit(f"Error: {overflown[0]} holds numbers too large for float16.")
    content = save(rounded, metadata={"class_names": json.dumps(spec.class_names)})
    partial = target.with_suffix(".partial")
    partial.write_bytes(content)
    os.replace(partial, target)
    print(f"{target}: {len(content):,} bytes, sha256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    pack(Path(sys.argv[1]), BUNDLED_FILES["tiny"])
