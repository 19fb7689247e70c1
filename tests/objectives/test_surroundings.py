"""Inputs near the forget samples: what the shuffle and the warp keep, and that they belong to the sample."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from hf_unlearn.objectives.draws import PassDraws
from hf_unlearn.objectives.surroundings import Surroundings, shuffle_patches, warp

seeds = st.integers(0, 1000)


@given(seed=seeds, height=st.integers(4, 11), width=st.integers(4, 11))
def test_shuffling_moves_patches_and_keeps_pixels(seed, height, width):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(2, 3, height, width, generator=generator)
    order = torch.rand(2, 16, generator=generator).argsort(1)
    shuffled = shuffle_patches(images, order)
    for channel in range(3):
        assert torch.equal(shuffled[:, channel].flatten(1).sort().values, images[:, channel].flatten(1).sort().values)
    assert torch.equal(shuffle_patches(images, torch.arange(16).expand(2, 16)), images)
    # Undoing the permutation gives the image back.
    assert torch.equal(shuffle_patches(shuffled, order.argsort(1)), images)


def test_shuffling_by_hand():
    image = torch.arange(16.0).view(1, 1, 4, 4)
    turned = shuffle_patches(image, torch.tensor([[3, 2, 1, 0]]), grid=2)
    assert turned[0, 0].tolist() == [[10, 11, 8, 9], [14, 15, 12, 13], [2, 3, 0, 1], [6, 7, 4, 5]]


def test_streams_and_passes_are_unrelated():
    def draw(generator):
        return torch.rand(50, generator=generator)

    everything = torch.arange(50)
    draws = [PassDraws(draw, 0, stream).of(everything, number) for stream in (0, 1) for number in (0, 1)]
    assert all(not torch.equal(a, b) for i, a in enumerate(draws) for b in draws[:i])
    assert torch.equal(draws[0], PassDraws(draw, 0, 0).of(everything, 0))


@given(seed=seeds, height=st.integers(4, 12), width=st.integers(4, 12))
def test_a_warped_image_invents_no_values(seed, height, width):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(3, 2, height, width, generator=generator) * 5 - 2
    warped = warp(images, torch.rand(3, 6, generator=generator))
    assert warped.shape == images.shape
    assert (warped.amax((2, 3)) <= images.amax((2, 3)) + 1e-4).all()
    assert (warped.amin((2, 3)) >= images.amin((2, 3)) - 1e-4).all()


def test_warping_with_every_number_in_the_middle_changes_nothing():
    images = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(warp(images, torch.full((2, 6), 0.5)), images, atol=1e-5, rtol=1e-5)


@given(order=st.permutations(range(6)), cut=st.integers(1, 5), pass_number=st.integers(0, 3))
def test_what_is_near_a_sample_does_not_depend_on_its_batch(order, cut, pass_number):
    images = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    whole = Surroundings(6, seed=3).near(images, torch.arange(6), pass_number)
    near = Surroundings(6, seed=3)
    for batch in (torch.tensor(order[:cut]), torch.tensor(order[cut:])):
        torch.testing.assert_close(near.near(images[batch], batch, pass_number), whole[batch])


def test_each_pass_shows_something_else():
    images = torch.rand(4, 3, 8, 8)
    near = Surroundings(4, seed=0)
    assert not torch.equal(near.near(images, torch.arange(4), 0), near.near(images, torch.arange(4), 1))
