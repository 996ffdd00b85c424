"""tlkit from Python: every command as a function, and a trained model as an object.

The command line calls the same functions. Keywords are named like the options: `--backbone resnet50 --image-size 160`
is `backbone="resnet50", image_size=160`. Each function returns what its command prints with `--json`. Nothing heavy is
imported before a function is called.

    import tlkit

    run = tlkit.finetune("photos", backbone="resnet50", epochs=5)
    model = tlkit.load(run["run"])
    model.predict(["new/1.jpg", "new/2.jpg"])

Each module lists its public names in `__all__`, and nothing lists them again.
"""

from typing import TYPE_CHECKING

from tlkit.api.audits import *
from tlkit.api.dreams import *
from tlkit.api.features import *
from tlkit.api.models import *
from tlkit.api.new_images import *
from tlkit.api.probes import *
from tlkit.api.shipping import *
from tlkit.api.training import *
from tlkit.api.upkeep import *

if not TYPE_CHECKING:  # Type checkers re-export star imports, but cannot evaluate this `__all__`.
    from tlkit.api import audits, dreams, features, models, new_images, probes, shipping, training, upkeep

    __all__ = [
        *audits.__all__,
        *dreams.__all__,
        *features.__all__,
        *models.__all__,
        *new_images.__all__,
        *probes.__all__,
        *shipping.__all__,
        *training.__all__,
        *upkeep.__all__,
    ]
