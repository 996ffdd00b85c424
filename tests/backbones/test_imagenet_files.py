from __future__ import annotations

import pytest
import tensorflow as tf

from tlkit.backbones.catalogue import BACKBONES, find_backbone
from tlkit.backbones.imagenet_files import IMAGENET_FILES, ImagenetFile


class DownloadAskedError(Exception):
    """Keras wants a file."""


@pytest.mark.parametrize("name", ["vgg16", "mobilenet"])
def test_the_files_are_those_that_keras_itself_asks_for(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import keras
    from keras.src.utils import file_utils

    asked = []

    def refuse(file_name: str, url: str, *, file_hash: str | None = None, **keywords: str) -> str:
        asked.append(ImagenetFile(url, file_hash, "" if url.endswith(f"/{file_name}") else file_name))
        raise DownloadAskedError

    monkeypatch.setattr(
        file_utils, "get_file", lambda fname=None, origin=None, **keywords: refuse(fname, origin, **keywords)
    )
    build = getattr(keras.applications, find_backbone(name).keras_name)
    with tf.Graph().as_default(), pytest.raises(DownloadAskedError):
        build(include_top=False, weights="imagenet", input_shape=(224, 224, 3))
    assert asked == [IMAGENET_FILES[name]]


def test_every_network_of_keras_has_a_file_of_its_own() -> None:
    assert set(IMAGENET_FILES) == {name for name, entry in BACKBONES.items() if entry.keras_name}
    assert len({file.name for file in IMAGENET_FILES.values()}) == len(IMAGENET_FILES)
    assert all(file.name.endswith(".h5") for file in IMAGENET_FILES.values())
    assert IMAGENET_FILES["nasnet_large"].name == "nasnet_large_no_top.h5"
