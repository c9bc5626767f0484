"""The SMANet-like network."""

from __future__ import annotations

import pytest
import timm
import torch
from safetensors.torch import save_file

from cxrbench.benchmark.errors import InputError
from cxrbench.tasks.models.smanet_like import SMANetLike, resize


def small(**options) -> SMANetLike:
    return SMANetLike(3, encoder="resnet10t", width=0.125, **options)


def test_the_paper_network_has_the_counted_parameters():
    """ResNet-50 (grey, without its classifier), then by hand from the dossier of the architecture."""
    encoder = 25_557_032 - (2048 * 1000 + 1000) - 2 * 64 * 49
    reduce = 2048 * 512 + 512
    attention = 4 * (512 * 512 + 2 * 512 + 512 * 512 + 512)
    fuse = 5 * 512 * 512 * 9 + 2 * 512
    fine = 256 * 48 + 2 * 48 + (512 + 48) * 256 * 9 + 2 * 256
    finest = 64 * 32 + 2 * 32 + (256 + 32) * 64 * 9 + 2 * 64
    classify = 64 * 4 + 4
    expected = encoder + reduce + attention + fuse + fine + finest + classify
    network = SMANetLike(4)
    assert sum(value.numel() for value in network.parameters()) == expected == 39_923_172
    assert network.encoder.feature_info.reduction() == [2, 4, 8, 8, 8]


@pytest.mark.parametrize("side", [49, 57, 64])
def test_logits_have_the_size_of_the_film(side):
    assert small()(torch.zeros(2, 1, side, side)).shape == (2, 3, side, side)


def test_attention_only_weighs_the_map_down():
    network = small().eval()
    maps = torch.rand(2, 64, 8, 8)
    for attend in network.attentions:
        weighed = attend(maps)
        assert (weighed > 0).all() and (weighed < maps).all()


def test_enlarging_keeps_corners_on_corners():
    line = torch.arange(3.0).view(1, 1, 1, 3)
    assert resize(line, torch.zeros(1, 1, 1, 5)).flatten().tolist() == [0, 0.5, 1, 1.5, 2]


def test_local_colour_weights_give_grey_films_the_answer_of_three_equal_channels(tmp_path):
    colour = timm.create_model("resnet10t", pretrained=False).eval()
    path = tmp_path / "resnet10t.safetensors"
    save_file(colour.state_dict(), path)
    network = SMANetLike(3, encoder="resnet10t", encoder_weights=path).eval()
    film = torch.rand(1, 1, 33, 33)
    with torch.no_grad():
        grey = network.encoder.conv1(film)
        assert torch.allclose(grey, colour.conv1(film.expand(-1, 3, -1, -1)), atol=1e-5)
    assert torch.equal(network.encoder.state_dict()["layer4.0.conv1.weight"], colour.layer4[0].conv1.weight)


def test_wrong_weights_are_one_clear_line(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        small(encoder_weights=tmp_path / "absent.safetensors")
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"nothing")
    with pytest.raises(InputError, match="not a readable state dict"):
        small(encoder_weights=broken)
    other = tmp_path / "resnet18.safetensors"
    save_file(timm.create_model("resnet18", pretrained=False).state_dict(), other)
    with pytest.raises(InputError, match="is missing"):
        small(encoder_weights=other)
    wide = tmp_path / "resnet10t.safetensors"
    save_file(timm.create_model("resnet10t", pretrained=False).state_dict(), wide)
    with pytest.raises(InputError, match=r"expected .* with width 1"):
        small(encoder_weights=wide)


def test_an_unknown_encoder_is_refused():
    with pytest.raises(InputError, match="resnet18 or resnet50"):
        SMANetLike(3, encoder="resnet19")
