"""The operations inside `double_backward`: values, first and second derivatives of torch's own, at less cost."""

from __future__ import annotations

from contextlib import ExitStack, nullcontext
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from hf_unlearn.objectives import double_backward, single_backward, squared_input_sensitivities, zero_of
from hf_unlearn.objectives.second_order import input_gradients
from hf_unlearn.objectives.second_order.context import Operations
from tests.tiny import make_model


def tensor(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def batch_norm(values, weight, bias):
    mean, variance = tensor(4, seed=3), tensor(4, seed=4).square() + 0.5
    return functional.batch_norm(values, mean, variance, weight, bias)


# By name: the operation, and what it takes.
OPERATIONS = {
    "convolution": (
        lambda x, w, b: functional.conv2d(x, w, b, stride=2, padding=1),
        [tensor(2, 3, 6, 5), tensor(4, 3, 3, 3), tensor(4)],
    ),
    "grouped, dilated": (
        lambda x, w: functional.conv2d(x, w, None, dilation=2, groups=2),
        [tensor(2, 4, 6, 6), tensor(6, 2, 2, 2)],
    ),
    "padded by name": (
        lambda x, w: functional.conv2d(x, w, None, padding="same"),
        [tensor(2, 2, 5, 5), tensor(3, 2, 3, 3)],
    ),
    "patches": (
        lambda x, w, b: functional.conv2d(x, w, b, stride=(2, 3)),
        [tensor(2, 3, 5, 7), tensor(4, 3, 2, 3), tensor(4)],
    ),
    "pointwise": (lambda x, w: functional.conv2d(x, w), [tensor(2, 3, 4, 4), tensor(5, 3, 1, 1)]),
    "frozen batchnorm": (batch_norm, [tensor(3, 4, 2, 2), tensor(4, seed=1), tensor(4, seed=2)]),
    "batchnorm without weights": (lambda x: batch_norm(x, None, None), [tensor(3, 4)]),
    "relu": (functional.relu, [tensor(40)]),
    "relu6": (functional.relu6, [4 * tensor(40)]),
    "pool": (lambda x: functional.max_pool2d(x, 3, 2, 1), [tensor(2, 3, 7, 7)]),
    "gelu": (functional.gelu, [tensor(30)]),
    "gelu, tanh": (lambda x: functional.gelu(x, approximate="tanh"), [tensor(30)]),
    "linear": (
        lambda x, w, b: functional.linear(x, w, b),
        [tensor(2, 3, 4), tensor(5, 4, seed=1), tensor(5, seed=2)],
    ),
    "linear, of which one token is used": (
        lambda x, w, b: functional.linear(functional.linear(x, w, b), w.t())[:, 0],
        [tensor(2, 9, 4), tensor(5, 4, seed=1), tensor(5, seed=2)],
    ),
    "layernorm": (
        lambda x, w, b: functional.layer_norm(x, (6,), w, b),
        [tensor(3, 4, 6), tensor(6, seed=1), tensor(6, seed=2)],
    ),
    "layernorm without weights": (lambda x: functional.layer_norm(x, (6,)), [tensor(3, 6)]),
    "layernorm over two": (lambda x: functional.layer_norm(x, (4, 6)), [tensor(3, 4, 6)]),
    "attention": (
        lambda q, k, v: functional.scaled_dot_product_attention(q, k, v, scale=0.7),
        [tensor(2, 3, 4, 5), tensor(2, 3, 6, 5, seed=1), tensor(2, 3, 6, 2, seed=2)],
    ),
    "attention of itself": (lambda x: functional.scaled_dot_product_attention(x, x, x), [tensor(2, 2, 3, 4)]),
    "attention, masked": (
        lambda q, k, v: functional.scaled_dot_product_attention(q, k, v, is_causal=True),
        [tensor(2, 4, 3), tensor(2, 4, 3, seed=1), tensor(2, 4, 3, seed=2)],
    ),
    "convolution with batchnorm": (
        lambda x, w, b, scale: batch_norm(functional.conv2d(x, w, b, padding=1), scale, None),
        [tensor(2, 3, 4, 4), tensor(4, 3, 3, 3, seed=1), tensor(4, seed=2), tensor(4, seed=5)],
    ),
    "stem": (
        lambda x, w: functional.conv2d(x, w, None, stride=2, padding=3),
        [tensor(2, 3, 8, 6), tensor(4, 3, 7, 7, seed=1)],
    ),
}


def inside(operation):
    def run(*inputs):
        with Operations():
            return operation(*inputs)

    return run


@pytest.mark.parametrize("name", OPERATIONS)
def test_values_and_derivatives(name):
    operation, inputs = OPERATIONS[name]
    inputs = [each.clone().requires_grad_() for each in inputs]
    torch.testing.assert_close(inside(operation)(*inputs), operation(*inputs))
    assert torch.autograd.gradcheck(inside(operation), inputs)
    assert torch.autograd.gradgradcheck(inside(operation), inputs)


@pytest.mark.parametrize("name", OPERATIONS)
def test_second_derivatives_as_the_sensitivities_need_them(name):
    operation, inputs = OPERATIONS[name]
    found = []
    for run in (operation, inside(operation)):
        given = [each.clone().requires_grad_() for each in inputs]
        with sdpa_kernel([SDPBackend.MATH]):
            result = run(*given)
        total = 0.0
        for seed in (5, 6):
            # Two gradients of one forward pass: what is worked out once for both must not be mixed up.
            direction = tensor(*result.shape, seed=seed)
            with input_gradients():
                (gradient,) = torch.autograd.grad((result * direction).sum(), given[0], create_graph=True)
            total = total + (gradient.square() * tensor(*gradient.shape, seed=7)).sum() * seed
        (total + result.sum()).backward()
        found.append([each.grad for each in given])
    for ours, theirs in zip(*reversed(found), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-9)


def test_training_batchnorm_is_left_as_it_is():
    norm = nn.BatchNorm2d(3).train()
    other = nn.BatchNorm2d(3).train()
    values = torch.randn(4, 3, 2, 2)
    with double_backward():
        ours = norm(values)
    torch.testing.assert_close(ours, other(values))
    assert torch.equal(norm.running_mean, other.running_mean) and bool(norm.running_mean.any())


def gradients(model, context, pixels):
    model.zero_grad()
    inputs = pixels.clone().requires_grad_()
    with context():
        logits = model(pixel_values=inputs).logits
        target, irrelevant = squared_input_sensitivities(logits, inputs, torch.tensor([0, 1]), torch.tensor([2, 3]))
    (target - irrelevant).sum().backward()
    # Biases of a convolution or a head get no gradient in one, zeros in the other.
    found = [torch.zeros_like(p) if p.grad is None else p.grad for p in model.parameters()]
    return torch.cat([each.flatten() for each in found])


def test_a_whole_model(architecture):
    model = make_model(architecture).double()
    pixels = tensor(2, 3, 16, 16)
    plain = gradients(model, lambda: sdpa_kernel([SDPBackend.MATH]), pixels)
    ours = gradients(model, double_backward, pixels)
    torch.testing.assert_close(ours, plain, rtol=1e-9, atol=1e-12)


def test_nothing_goes_back_through_kinks():
    # What makes it cheap: in a piecewise-linear network the forward pass itself is not gone back through.
    layers = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(196, 2)
    )
    layers = layers.double().eval()
    pixels = tensor(2, 3, 16, 16).requires_grad_()
    with double_backward():
        hidden = layers[:1](pixels)
        logits = layers[1:](hidden)
        (sensitivity,) = squared_input_sensitivities(logits, pixels, torch.tensor([0, 1]))
    assert torch.autograd.grad(sensitivity.sum(), hidden, allow_unused=True) == (None,)


@pytest.mark.parametrize("context", [None, "bf16"])
def test_under_autocast_as_without(architecture, context):
    model, pixels = make_model(architecture), tensor(2, 3, 16, 16).float()

    def half():
        stack = ExitStack()
        stack.enter_context(double_backward())
        stack.enter_context(torch.autocast("cpu", torch.bfloat16, enabled=context is not None))
        return stack

    whole, found = gradients(model, double_backward, pixels), gradients(model, half, pixels)
    assert torch.nn.functional.cosine_similarity(whole, found, dim=0) > 0.98


def test_a_zero_of_all_weights_costs_no_way_back():
    layers = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    zero = zero_of(layers.parameters())
    assert zero == 0
    zero.backward()
    assert all(torch.equal(weight.grad, torch.zeros_like(weight)) for weight in layers.parameters())


def math_attention():
    return sdpa_kernel([SDPBackend.MATH])


class Dynamic(nn.Module):
    """Its weights depend on the input, so the inner pass needs their gradients."""

    def __init__(self, kind):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.kind = kind
        sizes = {"convolution": 27, "linear": 12, "layernorm": 4, "batchnorm": 3, "convolution's bias": 3}
        self.made = nn.Parameter(torch.randn(sizes[kind], 4, generator=generator).double())

    def forward(self, pixel_values):
        seen = pixel_values.flatten(1)[:, :4].sum(0)
        weight = (self.made @ seen).tanh()
        if self.kind == "convolution":
            hidden = functional.conv2d(pixel_values, weight.view(3, 3, 3, 1).transpose(2, 3)[..., :1, :])
        elif self.kind == "convolution's bias":
            hidden = functional.conv2d(pixel_values, torch.ones(3, 3, 1, 1).double(), weight).square()
        elif self.kind == "layernorm":
            hidden = functional.layer_norm(pixel_values, (4,), weight)
        elif self.kind == "batchnorm":
            plain = functional.conv2d(pixel_values, torch.ones(3, 3, 1, 1).double())
            hidden = functional.batch_norm(plain, torch.zeros(3).double(), torch.ones(3).double(), weight)
        else:
            hidden = functional.linear(pixel_values, weight.view(3, 4))
        return SimpleNamespace(logits=hidden.flatten(1)[:, :4].tanh())


@pytest.mark.parametrize("kind", ["convolution", "convolution's bias", "linear", "layernorm", "batchnorm"])
def test_weights_that_depend_on_the_input(kind):
    model, pixels = Dynamic(kind), tensor(2, 3, 6, 4)
    plain, ours = (gradients(model, context, pixels) for context in (nullcontext, double_backward))
    assert plain.abs().max() > 1e-3
    torch.testing.assert_close(ours, plain)


class Tokens(nn.Module):
    """A class token beside other tokens, of which a share may enter the head, too."""

    def __init__(self, rest=None, meddle=lambda hidden: hidden, **attention):
        super().__init__()
        torch.manual_seed(0)
        self.rest, self.meddle, self.attention = rest, meddle, attention
        self.query, self.out = nn.Linear(4, 4).double(), nn.Linear(4, 4).double()
        self.norm, self.wide, self.narrow = (
            each.double() for each in (nn.LayerNorm(4), nn.Linear(4, 6), nn.Linear(6, 4))
        )
        self.scale = nn.Parameter(torch.rand(4).double())
        self.head = nn.Linear(4, 4).double()
        self.token = 0

    def forward(self, pixel_values):
        key = pixel_values.view(2, 9, 2, 2).transpose(1, 2)
        query = self.query(pixel_values).view(2, 9, 2, 2).transpose(1, 2)
        mixed = functional.scaled_dot_product_attention(query, key, key, **self.attention)
        mixed = mixed.transpose(1, 2).contiguous()
        hidden = self.out(mixed.reshape(2, 9, 4)) * self.scale + pixel_values
        self.inner = functional.gelu(self.wide(self.norm(hidden)))
        hidden = self.meddle(hidden + self.narrow(functional.dropout(self.inner, 0.5, training=False)))
        logits = self.head(hidden[:, self.token])
        if self.rest is not None:
            logits = logits + self.rest * self.head(hidden[:, 1:].mean(1) - hidden[:, -1, :])
        return SimpleNamespace(logits=logits)


def in_place(hidden):
    hidden.mul_(2.0)
    return hidden


def mixing(hidden):
    return hidden + hidden.roll(1, 1)


MEDDLERS = {"nothing": lambda hidden: hidden, "in place": in_place, "mixed": mixing, "softmax": lambda h: h.softmax(1)}
MEDDLERS["norm over all"] = lambda hidden: functional.layer_norm(hidden, (9, 4))


@pytest.mark.parametrize("rest", [None, 0.0, 1.0])
@pytest.mark.parametrize("meddle", MEDDLERS)
def test_a_token_computed_alone_changes_nothing(rest, meddle):
    # With 0.0 the other tokens' gradients happen to be zero, which must not pass for their being left out.
    model, pixels = Tokens(rest, MEDDLERS[meddle]), tensor(2, 9, 4)
    plain, ours = (gradients(model, context, pixels) for context in (math_attention, double_backward))
    assert plain.abs().max() > 1e-4
    torch.testing.assert_close(ours, plain)


@pytest.mark.parametrize("token", [0, 4, -1])
@pytest.mark.parametrize("attention", [{"is_causal": True}, {"attn_mask": tensor(9, 9)}, {"scale": 0.3}])
def test_a_token_that_does_not_see_all_others_alike(attention, token):
    model, pixels = Tokens(**attention), tensor(2, 9, 4)
    model.token = token
    plain, ours = (gradients(model, context, pixels) for context in (math_attention, double_backward))
    torch.testing.assert_close(ours, plain)


def test_what_nobody_reads_is_not_gone_back_through():
    model, pixels = Tokens(), tensor(2, 9, 4).requires_grad_()
    with double_backward():
        logits = model(pixels).logits
    assert torch.autograd.grad(logits.sum(), model.inner, allow_unused=True, retain_graph=True) == (None,)
    model.rest = 1.0
    with double_backward():
        logits = model(pixels).logits
    (gradient,) = torch.autograd.grad(logits.sum(), model.inner)
    assert gradient[:, 1:].abs().max() > 0 and gradient[:, 0].abs().max() == 0


def test_random_dropout_is_not_done_again():
    model, pixels = Tokens(meddle=lambda hidden: functional.dropout(hidden, 0.5, training=True)), tensor(2, 9, 4)
    with double_backward():
        torch.manual_seed(3)
        ours = model(pixels.requires_grad_()).logits
    torch.manual_seed(3)
    with sdpa_kernel([SDPBackend.MATH]):
        torch.testing.assert_close(ours, model(pixels).logits)


class Branching(nn.Module):
    """A convolution whose result is used before its BatchNorm, or changed in place."""

    def __init__(self, in_place):
        super().__init__()
        torch.manual_seed(0)
        self.in_place = in_place
        self.convolution, self.norm = nn.Conv2d(3, 4, 3).double(), nn.BatchNorm2d(4).double().eval()
        self.norm.running_mean.normal_()

    def forward(self, pixel_values):
        hidden = self.convolution(pixel_values).tanh() if self.in_place is None else self.convolution(pixel_values)
        if self.in_place:
            hidden.mul_(2)
        return SimpleNamespace(logits=(self.norm(hidden).tanh() + hidden).mean((2, 3)))


@pytest.mark.parametrize("in_place", [None, False, True])
def test_what_lies_between_a_convolution_and_its_norm(in_place):
    model, pixels = Branching(in_place), tensor(2, 3, 6, 6)
    with torch.no_grad(), double_backward():
        without = model(pixels).logits
    with double_backward():
        torch.testing.assert_close(model(pixels.clone().requires_grad_()).logits, without)
    plain, ours = (gradients(model, context, pixels) for context in (nullcontext, double_backward))
    torch.testing.assert_close(ours, plain)


def test_the_second_derivative_alone_asks_for_other_attention():
    query = tensor(2, 2, 5, 4).float().requires_grad_()
    attend = functional.scaled_dot_product_attention
    with double_backward():
        twice = attend(query, query, query)
        with single_backward():
            once = attend(query, query, query)
    assert "Attention" in type(twice.grad_fn.next_functions[0][0]).__name__
    assert "ScaledDotProduct" in type(once.grad_fn).__name__
    torch.testing.assert_close(*(torch.autograd.grad(result.sum(), query)[0] for result in (once, twice)))


def test_the_context_leaves_nothing_behind():
    values = tensor(2, 3, 4, 4).requires_grad_()
    with double_backward():
        functional.conv2d(values, tensor(2, 3, 1, 1))
    outside = functional.relu(values)
    assert "Relu" in type(outside.grad_fn).__name__ and not isinstance(
        outside.grad_fn, torch.autograd.function.BackwardCFunction
    )
