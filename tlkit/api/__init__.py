"""tlkit from Python: every command as a function, and a trained model as an object.

The command line calls these functions, too, so that both give the same. Settings are keywords by the names of the
options: `--backbone resnet50 --image-size 160` is `backbone="resnet50", image_size=160`. What a command prints with
`--json` is what its function returns. Nothing heavy is imported before a function is called.

    import tlkit

    run = tlkit.finetune("photos", backbone="resnet50", epochs=5)
    model = tlkit.load(run["run"])
    model.predict(["new/1.jpg", "new/2.jpg"])
"""

from tlkit.api.arguments import Result
from tlkit.api.features import compute_features, precompute
from tlkit.api.models import evaluate, load, predict
from tlkit.api.probes import compare, leak, lr_find, plan
from tlkit.api.training import finetune, read_data, run
from tlkit.api.upkeep import demo, describe_backbone, list_backbones, list_caches, prune_caches, verify_caches

__all__ = [
    "Result",
    "compare",
    "compute_features",
    "demo",
    "describe_backbone",
    "evaluate",
    "finetune",
    "leak",
    "list_backbones",
    "list_caches",
    "load",
    "lr_find",
    "plan",
    "precompute",
    "predict",
    "prune_caches",
    "read_data",
    "run",
    "verify_caches",
]
