"""The parts of the methods of 2024 to 2026 against closed forms and invariants."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from hf_unlearn.objectives.adversarial import nearest_adversarial, towards_class
from hf_unlearn.objectives.contrast import dispersion, supervised_contrast
from hf_unlearn.objectives.gaussians import ClassGaussians, tukey
from hf_unlearn.objectives.matching import matched_rows
from hf_unlearn.objectives.subspaces import learned_mask, masked_projection, principal_directions, without_leading
from hf_unlearn.objectives.tempering import SampleGumbel, smoothed_distillation, tempered

seeds = st.integers(0, 1000)


def draws(seed):
    return torch.Generator().manual_seed(seed)


def linear(seed, classes=3, width=5):
    """A linear model: the distance to its boundary is known."""
    weight = torch.randn(classes, width, generator=draws(seed))
    return weight, lambda x: x.flatten(1) @ weight.T


@settings(deadline=None, max_examples=20)
@given(seed=seeds)
def test_the_nearest_adversarial_example_is_about_as_near_as_the_boundary(seed):
    weight, answer = linear(seed)
    x = torch.randn(6, 1, 1, 5, generator=draws(seed + 1))
    y = answer(x).argmax(1)
    found = nearest_adversarial(answer, x, y, 0.01)
    assert torch.equal(answer(found.pixel_values).argmax(1), found.labels) and (found.labels != y).all()
    length = (found.pixel_values - x).flatten(1).norm(dim=1)
    assert (length <= found.radius * (1 + 1e-5)).all()
    logits = answer(x)
    apart = (weight[y].unsqueeze(1) - weight).norm(dim=2)
    margins = (logits.gather(1, y.unsqueeze(1)) - logits) / apart
    nearest = margins.scatter(1, y.unsqueeze(1), math.inf).amin(1)
    assert (length >= nearest * (1 - 1e-4)).all(), "nothing lies nearer than the boundary"
    doublings = (found.radius / 0.01).log2()
    torch.testing.assert_close(doublings, doublings.round(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("scale", [10.0, 1000.0])
def test_how_sure_the_model_is_changes_nothing_of_the_search(scale):
    _, answer = linear(0, classes=2)
    x = torch.randn(6, 1, 1, 5, generator=draws(1))
    y = answer(x).argmax(1)
    found, surer = (nearest_adversarial(each, x, y, 0.01) for each in (answer, lambda x: scale * answer(x)))
    torch.testing.assert_close(surer.pixel_values, found.pixel_values)
    assert torch.equal(surer.radius, found.radius)


def test_a_sample_that_is_misclassified_is_its_own_adversarial_example():
    _, answer = linear(0)
    x = torch.randn(4, 1, 1, 5, generator=draws(1))
    wrong = (answer(x).argmax(1) + 1) % 3
    found = nearest_adversarial(answer, x, wrong, 0.1)
    assert torch.equal(found.pixel_values, x) and (found.radius == 0).all()
    assert torch.equal(found.labels, answer(x).argmax(1))


def test_an_adversarial_example_does_not_depend_on_its_batch():
    _, answer = linear(3)
    x = torch.randn(5, 1, 1, 5, generator=draws(4))
    y = answer(x).argmax(1)
    whole = nearest_adversarial(answer, x, y, 0.05)
    for row in range(5):
        alone = nearest_adversarial(answer, x[row : row + 1], y[row : row + 1], 0.05)
        torch.testing.assert_close(alone.pixel_values[0], whole.pixel_values[row])
        assert alone.radius[0] == whole.radius[row]


def test_no_other_class_is_an_error():
    def one_class(x):
        return torch.cat([x.flatten(1).sum(1, keepdim=True) * 0 + 1, torch.zeros(len(x), 1)], 1)

    with pytest.raises(ValueError, match="2 samples are taken for their own class"):
        nearest_adversarial(one_class, torch.zeros(2, 1, 1, 2), torch.zeros(2, dtype=torch.long), 0.1)
    with pytest.raises(ValueError, match="radius is 0"):
        nearest_adversarial(one_class, torch.zeros(2, 1, 1, 2), torch.zeros(2, dtype=torch.long), 0.0)


@given(seed=seeds)
def test_targeted_steps_come_nearer_to_the_target_and_stay_in_reach(seed):
    _, answer = linear(seed)
    x = torch.randn(4, 1, 1, 5, generator=draws(seed + 1))
    target = (answer(x).argmax(1) + 1) % 3
    moved = towards_class(answer, x, x, target, 0.03, 0.01, 3)
    before, after = (functional.cross_entropy(answer(each), target, reduction="none") for each in (x, moved))
    assert (after < before).all()
    assert ((moved - x).abs() <= 0.03 + 1e-6).all()


@given(seed=seeds)
def test_dispersion_is_the_mean_cosine_over_pairs_of_one_class(seed):
    features = torch.randn(6, 4, generator=draws(seed))
    labels = torch.tensor([0, 0, 1, 1, 1, 2])
    pairs = [
        functional.cosine_similarity(features[i], features[j], dim=0)
        for i in range(6)
        for j in range(6)
        if i != j and labels[i] == labels[j]
    ]
    found = dispersion(features, labels)
    torch.testing.assert_close(found.mean(), torch.stack(pairs).mean())
    assert found[5] == 0
    torch.testing.assert_close(dispersion(features * 7, labels), found)
    assert (dispersion(features[[0, 2, 5]], labels[[0, 2, 5]]) == 0).all()


@given(seed=seeds)
def test_supervised_contrast_by_its_definition(seed):
    features = torch.randn(5, 4, generator=draws(seed))
    labels = torch.tensor([0, 0, 1, 0, 2])
    z = functional.normalize(features, dim=1)
    found = supervised_contrast(features, labels, 0.5)
    for i in range(5):
        others = [a for a in range(5) if a != i]
        denominator = sum(math.exp(float(z[i] @ z[a]) / 0.5) for a in others)
        positives = [p for p in others if labels[p] == labels[i]]
        terms = [math.log(math.exp(float(z[i] @ z[p]) / 0.5) / denominator) for p in positives]
        assert float(found[i]) == pytest.approx(-sum(terms) / len(terms) if terms else 0.0, rel=1e-4)


def test_contrast_has_a_finite_gradient():
    features = torch.randn(4, 3, generator=draws(0), requires_grad=True)
    supervised_contrast(features, torch.tensor([0, 0, 1, 1]), 0.1).mean().backward()
    assert features.grad.isfinite().all() and features.grad.abs().sum() > 0


@given(seed=seeds, samples=st.integers(2, 12), erased=st.integers(0, 6))
def test_erased_directions_are_those_of_the_samples(seed, samples, erased):
    features = torch.randn(samples, 6, generator=draws(seed))
    directions = principal_directions(features)
    torch.testing.assert_close(directions.T @ directions, torch.eye(6).double())
    projection = without_leading(directions, erased)
    torch.testing.assert_close(projection @ projection, projection)
    assert torch.linalg.matrix_rank(projection) == 6 - erased, "the directions without a sample stay"
    left = torch.linalg.svdvals(features.double() @ projection)
    expected = torch.linalg.svdvals(features.double())[erased:]
    torch.testing.assert_close(left[: len(expected)], expected)
    torch.testing.assert_close(masked_projection(directions, torch.ones(6, 6)), torch.eye(6).double())


def test_directions_of_many_samples_take_no_matrix_of_samples_by_samples(monkeypatch):
    svd, shapes = torch.linalg.svd, []

    def spy(*given, **settings):
        found = svd(*given, **settings)
        shapes.append(found[2].shape)
        return found

    monkeypatch.setattr(torch.linalg, "svd", spy)
    assert principal_directions(torch.randn(500, 3, generator=draws(0))).shape == (3, 3)
    assert principal_directions(torch.randn(2, 3, generator=draws(0))).shape == (3, 3)
    assert shapes == [(3, 500), (2, 2)]


def test_a_learned_mask_takes_away_the_class_and_no_more_than_its_passes():
    features = torch.randn(20, 6, generator=draws(0)) + 2
    weight = torch.randn(3, 6, generator=draws(1))
    labels = (features @ weight.T).argmax(1)
    directions = principal_directions(features)
    given_ = dict(rate=0.5, batch_size=8, generator=draws(2))
    mask, passes = learned_mask(directions, features, labels, weight, None, passes=50, **given_)
    assert 0 < passes < 50 and mask.min() >= 0 and mask.max() <= 1
    answers = features.double() @ masked_projection(directions, mask) @ weight.T.double()
    assert (answers.argmax(1) != labels).all()
    untouched, passes = learned_mask(directions, features, labels, weight, None, passes=1, **{**given_, "rate": 1e-9})
    assert passes == 1 and (untouched > 1 - 1e-6).all()


def test_temperature_is_one_at_the_accuracy_of_unseen_data():
    assert tempered(0.8, 0.8, 2.0) == 1.0
    assert tempered(1.0, 0.5, 2.0) == pytest.approx(math.e)
    assert tempered(0.5, 0.8, 2.0) < 1


@given(seed=seeds)
def test_smoothed_distillation_by_its_definition(seed):
    logits, teacher = (torch.randn(3, 4, generator=draws(seed + k)) for k in (0, 1))
    noise = torch.randn(3, 4, generator=draws(seed + 2))
    hard = torch.tensor([True, False, False])
    found = smoothed_distillation(logits, teacher, noise, 2.5, hard)
    soft = ((teacher + noise) / 2.5).softmax(1)
    torch.testing.assert_close(found[1:], -(soft * logits.log_softmax(1)).sum(1)[1:])
    best = (teacher + noise)[:1].argmax(1)
    torch.testing.assert_close(found[:1], functional.cross_entropy(logits[:1], best, reduction="none"))


def test_gumbel_noise_is_gumbel_and_tied_to_sample_and_pass():
    noise = SampleGumbel(20_000, 2, 0).of(torch.arange(20_000), 0)
    assert noise.mean() == pytest.approx(0.5772, abs=0.02) and noise.var() == pytest.approx(math.pi**2 / 6, abs=0.05)
    some = SampleGumbel(20_000, 2, 0)
    assert torch.equal(some.of(torch.tensor([5, 3]), 0), noise[[5, 3]])
    assert not torch.equal(some.of(torch.tensor([5, 3]), 1), noise[[5, 3]])


def test_a_sample_is_nearest_to_the_class_it_is_of():
    labels = torch.arange(60) % 3
    centres = 4 * torch.eye(3, 5)
    features = (centres[labels] + 0.3 * torch.randn(60, 5, generator=draws(0))).abs()
    classes = ClassGaussians.of(features, labels, 0.5, 3.0)
    distances = classes.distances(features)
    assert (distances >= -1e-4).all() and (classes.labels[distances.argmin(1)] == labels).all()
    torch.testing.assert_close(tukey(tukey(features, 0.5), 2.0), features, rtol=1e-4, atol=1e-6)


def test_the_distance_to_one_class_is_that_among_all():
    classes = ClassGaussians.of(torch.randn(30, 4, generator=draws(3)), torch.arange(30) % 3, 0.5, 3.0)
    features, rows = torch.randn(6, 4, generator=draws(0)), torch.tensor([0, 2, 1, 1, 0, 2])
    expected = classes.distances(features).gather(1, rows.unsqueeze(1)).squeeze(1)
    torch.testing.assert_close(classes.distances_to(features, rows), expected)


def test_features_of_one_number_have_a_distribution():
    features = torch.tensor([[0.0], [1.0], [8.0], [9.0]])
    classes = ClassGaussians.of(features, torch.tensor([0, 0, 1, 1]), 1.0, 1.0)
    assert classes.inverses.shape == (2, 1, 1) and classes.distances(features).isfinite().all()


class Calls(TorchFunctionMode):
    """Names of the functions that were called on tensors."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.names.append(func.__name__)
        return func(*args, **kwargs or {})


def test_distributions_are_fitted_on_the_cpu_as_not_every_accelerator_has_float64():
    with Calls() as calls:
        ClassGaussians.of(torch.rand(6, 3), torch.tensor([0, 0, 0, 1, 1, 1]), 1.0, 1.0)
    assert "cpu" in calls.names[: calls.names.index("double")]


def test_shrinking_by_hand():
    # Two features of one class: variances 1 and 3, covariance 0.5, shrunk by gamma 1, twice.
    from hf_unlearn.objectives.gaussians import _shrunk

    covariance = torch.tensor([[1.0, 0.5], [0.5, 3.0]])
    once = torch.tensor([[1.0 + 2.0, 1.0], [1.0, 3.0 + 2.0]])
    torch.testing.assert_close(_shrunk(covariance, 1.0), once)


def test_a_class_of_one_sample_has_no_distribution():
    labels = torch.tensor([0, 0, 0, 1])
    assert ClassGaussians.of(torch.rand(4, 3), labels, 1.0, 1.0).labels.tolist() == [0]
    with pytest.raises(ValueError, match="no class has two samples"):
        ClassGaussians.of(torch.rand(2, 3), torch.tensor([0, 1]), 1.0, 1.0)


@pytest.mark.parametrize("name", ["dispersion", "contrast", "smoothed", "gaussians"])
def test_gradients_against_finite_differences(name):
    x = torch.randn(6, 4, generator=draws(0), dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 0, 1, 1, 1, 2])
    teacher, noise = (torch.randn(6, 4, generator=draws(seed)).double() for seed in (1, 2))
    classes = ClassGaussians.of(torch.randn(30, 4, generator=draws(3)), torch.arange(30) % 3, 0.5, 3.0)
    losses = {
        "dispersion": lambda x: dispersion(x, labels),
        "contrast": lambda x: supervised_contrast(x, labels, 0.5),
        "smoothed": lambda x: smoothed_distillation(x, teacher, noise, 2.0, labels == 1),
        "gaussians": classes.distances,
    }
    assert torch.autograd.gradcheck(losses[name], (x,))


@settings(deadline=None, max_examples=50)
@given(seed=seeds, held=st.lists(st.integers(0, 5), min_size=1, max_size=30))
def test_each_sample_gets_a_held_out_one_of_its_class(seed, held):
    held_labels = torch.tensor(held)
    labels = torch.randint(8, (40,), generator=draws(seed))
    uniform = torch.rand(40, generator=draws(seed + 1))
    rows = matched_rows(labels, held_labels, uniform)
    known = torch.isin(labels, held_labels)
    assert torch.equal(held_labels[rows][known], labels[known]) and ((rows >= 0) & (rows < len(held))).all()


def test_held_out_samples_of_a_class_are_all_drawn_and_of_an_unknown_class_any():
    held_labels = torch.tensor([1, 0, 1, 1])
    edges = torch.tensor([0.0, 0.34, 1 - 2**-24])
    assert matched_rows(torch.tensor([1, 1, 1]), held_labels, edges).tolist() == [0, 2, 3]
    found = matched_rows(torch.full((4,), 7), held_labels, torch.tensor([0.0, 0.3, 0.6, 1 - 2**-24]))
    assert sorted(found.tolist()) == [0, 1, 2, 3]
