from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from safetensors.numpy import save_file

from tlkit.backbones.build import build_backbone
from tlkit.backbones.catalogue import find_backbone
from tlkit.backbones.imagenet_files import IMAGENET_FILES, models_folder
from tlkit.backbones.weights import (
    check_weights,
    finalize_normalization,
    hash_arrays,
    is_to_be_fetched,
    load_weights,
    stable_names,
)
from tlkit.errors import BackboneError


def build_with_invented_names() -> keras.Model:
    inner = keras.Sequential([keras.layers.Dense(2), keras.layers.Dense(2, name="chosen")], name="stem")
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), inner, keras.layers.Dense(1)])


def test_invented_names_are_counted_anew_and_chosen_ones_kept() -> None:
    for _ in range(2):
        assert list(stable_names(build_with_invented_names())) == [
            "dense_1/kernel",
            "dense_1/bias",
            "stem/dense_2/kernel",
            "stem/dense_2/bias",
            "stem/chosen/kernel",
            "stem/chosen/bias",
            "dense_3/kernel",
            "dense_3/bias",
        ]


def test_a_weight_without_a_name_is_called_by_its_place() -> None:
    class Scale(keras.layers.Layer):  # type: ignore[misc]
        def build(self, input_shape: tuple[int | None, ...]) -> None:
            self.factor = self.add_weight(shape=(1,))

        def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
            return inputs * self.factor

    assert list(stable_names(keras.Sequential([keras.Input((3,)), Scale(name="chosen")]))) == ["chosen/weight_0"]


def test_whole_numbers_are_no_weights() -> None:
    model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Normalization()])
    assert list(stable_names(model)) == ["normalization_1/mean", "normalization_1/variance"]


def test_a_normalisation_uses_new_weights_once_it_is_finalised() -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Normalization()])
    stable_names(model)["normalization_1/mean"].assign([1.0, 2.0, 3.0])
    assert np.asarray(model(np.ones((1, 3), np.float32))).tolist() == [[1.0, 1.0, 1.0]]
    finalize_normalization(model)
    assert np.asarray(model(np.ones((1, 3), np.float32))).tolist() == [[0.0, -1.0, -2.0]]


def test_a_normalisation_is_finalised_when_weights_are_loaded(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Normalization()])
    path = tmp_path / "mean.safetensors"
    mean = np.array([1, 2, 3], np.float32)
    save_file({"normalization_1/mean": mean, "normalization_1/variance": np.ones(3, np.float32)}, path)
    load_weights(model, find_backbone("tiny"), str(path))
    assert np.asarray(model(np.ones((1, 3), np.float32))).tolist() == [[0.0, -1.0, -2.0]]


def test_a_hash_depends_on_names_shapes_formats_and_numbers_but_not_on_order() -> None:
    one, two = np.arange(6, dtype=np.float32), np.zeros(2, np.float32)
    hashes = {
        hash_arrays({"a": one, "b": two}),
        hash_arrays({"b": one, "a": two}),
        hash_arrays({"a": one.reshape(2, 3), "b": two}),
        hash_arrays({"a": one.astype(np.float64), "b": two}),
        hash_arrays({"a": one + 1, "b": two}),
        hash_arrays({"a": one}),
    }
    assert len(hashes) == 6
    assert hash_arrays({"a": one, "b": two}) == hash_arrays({"b": two, "a": one})


def test_tiny_has_no_imagenet_weights() -> None:
    with pytest.raises(BackboneError) as caught:
        build_backbone("tiny", pooling="avg", weights="imagenet")
    assert caught.value.found == "tiny has no ImageNet weights."
    assert caught.value.expected == "--weights bundled or random, or the path of a file of weights"
    assert caught.value.fix == "give --weights bundled, or choose another backbone, such as mobilenet_v2."


def test_a_missing_file_is_told_before_anything_is_built() -> None:
    with pytest.raises(BackboneError) as caught:
        check_weights(find_backbone("vgg16"), "nowhere/vgg16.h5")
    assert caught.value.found == "--weights nowhere/vgg16.h5: there is no such file."
    assert caught.value.expected == "imagenet, random, or the path of a .weights.h5, .h5, .safetensors file"
    assert caught.value.fix == "correct the path, or give --weights imagenet."


def test_a_file_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vgg16.pth"
    path.write_bytes(b"")
    with pytest.raises(BackboneError) as caught:
        check_weights(find_backbone("vgg16"), str(path))
    assert caught.value.found == f"--weights {path}: not a kind of file that tlkit reads."
    assert caught.value.expected == "a file named *.weights.h5, *.h5, *.safetensors"
    assert caught.value.fix == "save the weights with Keras' model.save_weights('NAME.weights.h5')."


@pytest.mark.parametrize("name", ["vgg16.weights.h5", "vgg16.h5", "vgg16.safetensors"])
@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"\x89HDF\r\n\x1a\n\0\0"])
def test_a_file_of_weights_that_is_none_is_refused_before_anything_heavy(
    name: str, content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BackboneError) as caught:
        check_weights(find_backbone("vgg16"), str(path))
    assert caught.value.found.startswith(f"{path} cannot be read as a file of weights (")
    assert "\n" not in caught.value.found
    assert caught.value.expected == "a whole .weights.h5, .h5 or .safetensors file"
    assert caught.value.fix == "fetch the file again; a download may have been cut off."


def test_imagenet_weights_that_are_here_are_looked_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    check_weights(find_backbone("mobilenet_v2"), "imagenet")
    assert is_to_be_fetched(find_backbone("mobilenet_v2"), "imagenet")
    path = tmp_path / "models" / IMAGENET_FILES["mobilenet_v2"].name
    path.parent.mkdir()
    path.write_bytes(b"half a download")
    assert not is_to_be_fetched(find_backbone("mobilenet_v2"), "imagenet")
    with pytest.raises(BackboneError) as caught:
        check_weights(find_backbone("mobilenet_v2"), "imagenet")
    assert caught.value.found.startswith(f"{path} cannot be read as a file of weights (")


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **keywords: object) -> str:
        print("Downloading data")  # noqa: T201 - as Keras does
        raise Exception("URL fetch failure: Name or service not known")

    monkeypatch.setattr(keras.utils, "get_file", fail)


def test_without_network_the_needed_file_and_its_place_are_told(
    offline: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(BackboneError) as caught:
        build_backbone("vgg16", image_size=(32, 32), pooling="avg")
    name = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
    url = f"https://storage.googleapis.com/tensorflow/keras-applications/vgg16/{name}"
    assert caught.value.found == (
        "The ImageNet weights of vgg16 are not on this machine and cannot be downloaded "
        "(URL fetch failure: Name or service not known)."
    )
    assert caught.value.expected == f"the file {name} in {tmp_path / 'models'}, or a network connection"
    assert caught.value.fix == (
        f"download {url} on another machine and put it into that folder, or give its path with --weights; "
        "or choose --backbone tiny, whose weights ship with tlkit."
    )
    assert capsys.readouterr().out == ""


def test_without_network_the_backbones_that_are_here_are_offered(
    offline: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / IMAGENET_FILES["mobilenet_v2"].name).write_bytes(b"")
    (tmp_path / "models" / IMAGENET_FILES["nasnet_large"].name).write_bytes(b"")
    with pytest.raises(BackboneError) as caught:
        build_backbone("vgg16", image_size=(32, 32), pooling="avg")
    assert caught.value.fix.endswith(
        "or choose --backbone tiny, whose weights ship with tlkit, or a backbone whose weights are here: mobilenet_v2, "
        "nasnet_large."
    )


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras' own, while it saves
def test_imagenet_weights_are_read_from_where_keras_put_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    source = build_backbone("mobilenet", image_size=(32, 32), pooling="avg", weights="random", seed=5)
    path = tmp_path / "mobilenet.weights.h5"
    source.model.save_weights(path)
    asked: dict[str, str | None] = {}

    def give(name: str, url: str, **keywords: str | None) -> str:
        asked.update(name=name, url=url, **keywords)
        return str(path)

    monkeypatch.setattr(keras.utils, "get_file", give)
    loaded = build_backbone("mobilenet", image_size=(32, 32), pooling="avg", seed=6)
    assert loaded.weights.source == "imagenet"
    assert loaded.weights.sha256 == source.weights.sha256
    assert asked == {
        "name": "mobilenet_1_0_224_tf_no_top.h5",
        "url": "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet/mobilenet_1_0_224_tf_no_top.h5",
        "cache_subdir": "models",
        "file_hash": None,
    }


def test_keras_folder_follows_its_own_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert models_folder() == tmp_path / "models"
    monkeypatch.delenv("KERAS_HOME")
    assert models_folder() == Path.home() / ".keras" / "models"
