"""Each operation inside `double_backward` against torch's own, on all that a model may give it.

Values, first and second derivatives, for every layout in memory, empty batches, in-place use, float64 to bfloat16; and
where torch's own refuses, so does ours.
"""

from __future__ import annotations

from contextlib import ExitStack, nullcontext

import pytest
import torch
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from hf_unlearn.objectives import double_backward
from hf_unlearn.objectives.second_order import input_gradients
from tests.objectives.test_second_order import tensor

BATCHES = (0, 1, 3)
# What torch's own cannot do for want of memory of its own or of a kernel for mixed precision, and ours may.
MAY_WORK = ("modified by an inplace operation", "expected scalar type")


def batch_norm(x, weight=None, bias=None):
    dtype = torch.promote_types(x.dtype, torch.float32)
    mean, variance = tensor(4, seed=3).to(dtype), tensor(4, seed=4).square().to(dtype) + 0.5
    return functional.batch_norm(x, mean, variance, weight, bias)


def conv(**settings):
    return lambda x, w, *b: functional.conv2d(x, w, *b, **settings)


def pool(*settings, **further):
    return lambda x: functional.max_pool2d(x, *settings, **further)


def attend(**settings):
    return lambda q, k, *v: functional.scaled_dot_product_attention(q, k, *(v or [k]), **settings)


def of_itself(x):
    return functional.scaled_dot_product_attention(x, x, x)


def dropped(operation):
    """An in-place operation whose result is not used: what it was done to is."""

    def run(x):
        hidden = 4 * x
        operation(hidden)
        return hidden.tanh()

    return run


def then_in_place(operation):
    return lambda *inputs: operation(*inputs).mul_(2).add_(0.5).tanh()


def input_in_place(operation):
    def run(x, *rest):
        hidden = 4 * x
        result = operation(hidden, *rest)
        hidden.mul_(2)
        return result

    return run


def class_token(x, w, b):
    hidden = functional.layer_norm(of_itself(x) + x, (4,))
    return functional.linear(functional.gelu(hidden), w, b)[:, 0]


def changed_class_token(x, w, b):
    hidden = functional.linear(of_itself(x) + x, w, b)
    with torch.no_grad():
        hidden.mul_(2)
    return hidden[:, 0]


def cases():
    """By name: the operation, and the shapes of what it takes, without the first one's batch."""
    kernel, bias = (4, 3, 3, 3), (4,)
    yield "convolution", conv(padding=1), [(3, 5, 7), kernel, bias]
    yield "convolution, strided", conv(stride=2, padding=1), [(3, 6, 5), kernel, bias]
    yield "convolution of a stem", conv(stride=2, padding=3), [(3, 8, 6), (4, 3, 7, 7)]
    yield "convolution of a stem, skipping pixels", conv(stride=4, padding=1), [(3, 8, 8), kernel]
    yield "convolution of a stem, pointwise", conv(stride=2), [(3, 8, 8), (4, 3, 1, 1)]
    yield "convolution of a stem, padded beyond its kernel", conv(stride=2, padding=5), [(3, 8, 8), kernel]
    yield "convolution, grouped and dilated", conv(dilation=2, groups=2), [(4, 6, 6), (6, 2, 2, 2)]
    yield "convolution, depthwise", conv(padding=1, groups=4), [(4, 6, 6), (4, 1, 3, 3), bias]
    yield "convolution, depthwise and strided", conv(padding=1, groups=4, stride=2), [(4, 6, 6), (4, 1, 3, 3), bias]
    yield "convolution, pointwise", conv(), [(3, 4, 4), (5, 3, 1, 1)]
    yield "convolution, padded by name", conv(padding="same"), [(2, 5, 5), (3, 2, 3, 3)]
    yield "convolution, too large", conv(), [(2, 2, 2), (3, 2, 3, 3)]
    yield "convolution, other channels", conv(), [(4, 5, 5), (2, 3, 2, 2)]
    yield "convolution in place", then_in_place(conv(padding=1)), [(3, 4, 5), kernel]
    yield "patches", conv(stride=(2, 3)), [(3, 5, 7), (4, 3, 2, 3), bias]
    yield "patches in place", then_in_place(conv(stride=2)), [(3, 4, 5), (4, 3, 2, 2)]
    yield "patches, too large", conv(stride=(2, 3)), [(3, 1, 2), (4, 3, 2, 3), bias]
    yield "patches, other channels", conv(stride=2), [(4, 5, 5), (2, 3, 2, 2)]
    yield "norm", batch_norm, [(4, 3, 2), bias, bias]
    yield "norm of vectors", batch_norm, [(4,), bias, bias]
    yield "norm of sequences", batch_norm, [(4, 5), bias, bias]
    yield "norm of videos", batch_norm, [(4, 2, 1, 3), bias, bias]
    yield "norm without a weight", lambda x, b: batch_norm(x, None, b), [(4, 5), bias]
    yield "norm alone", batch_norm, [(4, 5)]
    yield "norm in place", then_in_place(batch_norm), [(4, 5), bias, bias]
    pair = [(3, 4, 5), kernel, bias, bias, bias]
    yield "convolution and norm", lambda x, w, b, *s: batch_norm(functional.conv2d(x, w, b, padding=1), *s), pair
    yield (
        "convolution, norm and relu in place",
        lambda x, w, b, *s: functional.relu(batch_norm(functional.conv2d(x, w, b), *s), inplace=True),
        pair,
    )
    yield (
        "convolution and norm in place",
        then_in_place(lambda x, w, b, *s: batch_norm(functional.conv2d(x, w, b, padding=1), *s)),
        pair,
    )
    for name in ("relu", "relu6"):
        bend = getattr(functional, name)
        yield name, lambda x, bend=bend: bend(4 * x), [(3, 5)]
        yield f"{name} in place", lambda x, bend=bend: bend(4 * x, inplace=True), [(3, 5)]
        yield f"{name} in place, dropped", dropped(lambda y, bend=bend: bend(y, True)), [(3, 5)]
        yield f"{name} in place, by name", dropped(lambda y, bend=bend: bend(input=y, inplace=True)), [(3, 5)]
        yield f"{name} in place, on a part", dropped(lambda y, bend=bend: bend(y[..., :2], inplace=True)), [(3, 5)]
        yield f"{name} in place, of what is needed", lambda x, bend=bend: bend(x.sigmoid(), True).tanh(), [(3, 5)]
        yield f"{name} in place, on a leaf", lambda x, bend=bend: bend(x, inplace=True), [(3, 5)]
        yield f"{name}, then in place", then_in_place(lambda x, bend=bend: bend(4 * x)), [(3, 5)]
    yield "relu_", dropped(torch.relu_), [(3,)]
    yield "relu of a module, in place", dropped(torch.nn.ReLU(inplace=True)), [(3,)]
    yield "relu6 of a module, in place", dropped(torch.nn.ReLU6(inplace=True)), [(3,)]
    image = [(3, 7, 9)]
    yield "pool", pool(3, 2, 1), image
    yield "pool, dilated", pool(3, 1, 1, 2), image
    yield "pool, uneven", pool((2, 3), (1, 2), (1, 0), 1, True), image
    yield "pool, in lists", pool([3], [2], [1]), image
    yield "pool of the kernel's stride", pool(2), image
    yield "pool, no stride", pool(2, 0), image
    yield "pool with places", lambda x: functional.max_pool2d(x, 2, return_indices=True)[0], image
    yield "pool in place", then_in_place(pool(2)), image
    yield "pool, its input in place", input_in_place(pool(2)), image
    for how in ("none", "tanh"):
        gelu = {"approximate": how}
        yield f"gelu {how}", lambda x, gelu=gelu: functional.gelu(x, **gelu), [(3, 5)]
        yield f"gelu {how} of numbers", lambda x, gelu=gelu: functional.gelu(x, **gelu), [()]
        yield f"gelu {how} in place", then_in_place(lambda x, gelu=gelu: functional.gelu(x, **gelu)), [(3,)]
        yield f"gelu {how}, by name", lambda x, gelu=gelu: functional.gelu(input=x, **gelu), [(3,)]
    yield "gelu, its input in place", input_in_place(functional.gelu), [(3,)]
    features = [(4, 6), (6,), (6,)]
    yield "layernorm", lambda x, w, b: functional.layer_norm(x, (6,), w, b), features
    yield "layernorm without a bias", lambda x, w: functional.layer_norm(x, (6,), w), features[:2]
    yield "layernorm without a weight", lambda x, b: functional.layer_norm(x, [6], None, b), features[:2]
    yield "layernorm alone", lambda x: functional.layer_norm(x, torch.Size([6]), eps=1e-3), features[:1]
    yield "layernorm of vectors", lambda x: functional.layer_norm(x, (6,)), [(6,)]
    yield "layernorm over two", lambda x: functional.layer_norm(x, (4, 6)), features[:1]
    yield "layernorm of one feature", lambda x, w: functional.layer_norm(x, (1,), w), [(4, 1), (1,)]
    yield "layernorm in place", then_in_place(lambda x, w, b: functional.layer_norm(x, (6,), w, b)), features
    yield "layernorm, its input in place", input_in_place(lambda x: functional.layer_norm(x, (6,))), features[:1]
    yield (
        "layernorm of channels",
        lambda x, w: functional.layer_norm(x.permute(0, 2, 3, 1), (4,), w).permute(0, 3, 1, 2),
        [(4, 3, 5), (4,)],
    )
    yield "attention", attend(scale=0.7), [(3, 4, 5), ("batch", 3, 6, 5), ("batch", 3, 6, 2)]
    yield "attention without a scale", attend(scale=0.0), [(3, 4, 5), ("batch", 3, 6, 5)]
    yield "attention of itself", of_itself, [(2, 3, 4)]
    yield "attention without heads", of_itself, [(3, 4)]
    yield "attention of parts", of_itself, [(2, 1, 3, 4)]
    yield "attention of one token", of_itself, [(2, 1, 4)]
    yield "attention, no queries", attend(), [(2, 0, 4), ("batch", 2, 3, 4)]
    yield "attention, no keys", attend(), [(2, 3, 4), ("batch", 2, 0, 4)]
    yield "attention, causal", attend(is_causal=True), [(4, 3), ("batch", 4, 3)]
    yield "attention, grouped", attend(enable_gqa=True), [(4, 4, 3), ("batch", 2, 4, 3)]
    yield "attention, one key for all", attend(), [(4, 4, 3), (1, 4, 4, 3)]
    yield "attention, other widths", attend(), [(2, 3, 4), ("batch", 2, 3, 5)]
    yield "attention in place", then_in_place(of_itself), [(2, 3, 4)]
    yield (
        "attention of heads",
        lambda x: of_itself(x.view(-1, 3, 2, 2).transpose(1, 2)).transpose(1, 2).reshape(-1, 3, 4),
        [(3, 4)],
    )
    yield "class token", class_token, [(5, 4), (3, 4), (3,)]
    yield "class token of what was changed", changed_class_token, [(5, 4), (3, 4), (3,)]


CASES = {name: (operation, shapes) for name, operation, shapes in cases()}
WITHOUT_BATCH = {
    "relu": (functional.relu, [()]),
    "relu in place": (dropped(lambda y: functional.relu(y, inplace=True)), [()]),
    "relu6": (functional.relu6, [()]),
    "gelu": (functional.gelu, [()]),
    "layernorm": (lambda x, w: functional.layer_norm(x, (6,), w), [(6,), (6,)]),
    "norm of a vector": (batch_norm, [(4,)]),
    "norm of a number": (batch_norm, [()]),
    "convolution": (conv(), [(3, 5, 5), (2, 3, 2, 2)]),
    "patches": (conv(stride=2), [(3, 5, 5), (2, 3, 2, 2)]),
    "convolution of a matrix": (conv(), [(5, 5), (2, 3, 2, 2)]),
    "pool": (pool(2), [(3, 5, 5)]),
    "pool of a matrix": (pool(2), [(5, 5)]),
    "attention": (of_itself, [(3, 4)]),
    "attention of a vector": (of_itself, [(4,)]),
}


def layouts(x):
    """The same values in memory as models have them, by name."""
    yield "contiguous", x.clone()
    held = x.new_zeros(x.numel() + 3)
    held[3:] = x.flatten()
    yield "not from the start", held[3:].view(x.shape)
    if x.ndim == 4:
        yield "channels last", x.clone().to(memory_format=torch.channels_last)
    if x.ndim > 1:
        yield "transposed", x.transpose(0, -1).contiguous().transpose(0, -1)
    if x.ndim:
        wide = x.new_zeros(*x.shape[:-1], 2 * x.shape[-1] + 1)
        strided = wide[..., 1::2][..., : x.shape[-1]]
        yield "strided", strided.copy_(x)
        if len(x) > 1:
            yield "expanded", x[:1].clone().expand_as(x)


def derivatives(operation, inputs, *contexts, inner=input_gradients):
    """Value, two gradients with respect to the first input, and the gradients of their squares; or what was raised."""
    leaves = [each.detach().requires_grad_() for each in inputs]
    try:
        with ExitStack() as stack:
            for context in contexts:
                stack.enter_context(context)
            result = operation(*leaves)
            found, total = [result.detach().clone()], result.double().sum()
            for seed in (5, 6):
                direction = tensor(*result.shape, seed=seed).to(result.dtype)
                with inner():
                    (gradient,) = torch.autograd.grad((result * direction).sum(), leaves[0], create_graph=True)
                found.append(gradient.detach().clone())
                total = total + (gradient.double().square() * tensor(*gradient.shape, seed=7)).sum() * seed
            total.backward()
    except Exception as error:
        return error
    # A weight that takes no part has no gradient in the one, zeros in the other.
    return [*found, *(torch.zeros_like(each) if each.grad is None else each.grad for each in leaves)]


def both(operation, inputs, *more, **kwargs):
    """Torch's own derivatives and ours; None where both refuse."""
    plain = derivatives(operation, inputs, double_backward(fast=False), *(make() for make in more), **kwargs)
    ours = derivatives(operation, inputs, double_backward(), *(make() for make in more), **kwargs)
    if isinstance(plain, Exception):
        assert isinstance(ours, Exception) or any(each in str(plain) for each in MAY_WORK), f"torch's own: {plain}"
        return None
    assert not isinstance(ours, Exception), f"{type(ours).__name__}: {ours}"
    assert [(each.dtype, each.shape) for each in ours] == [(each.dtype, each.shape) for each in plain]
    return plain, ours


def made(shapes, batch):
    """What a case takes; `batch` None for one without."""
    first = shapes[0] if batch is None else (batch, *shapes[0])
    rest = [tuple(batch if size == "batch" else size for size in shape) for shape in shapes[1:]]
    return [tensor(*shape, seed=seed) for seed, shape in enumerate([first, *rest])]


def check_layouts(operation, inputs):
    for name, first in layouts(inputs[0]):
        for inner in (input_gradients, nullcontext) if name == "contiguous" else (input_gradients,):
            found = both(operation, [first, *inputs[1:]], inner=inner)
            if found is not None:
                torch.testing.assert_close(*reversed(found), rtol=1e-8, atol=1e-9, msg=lambda m, n=name: f"{n}: {m}")


def error_of(found, truth):
    """How far off each is, relative to its size."""
    pairs = zip(found, truth, strict=True)
    return [float((each.double() - true).norm() / true.norm().clamp_min(1e-6)) for each, true in pairs]


def check_precisions(operation, inputs):
    whole = both(operation, inputs)
    if whole is None:
        return
    # In-place use or not, ours is no further from the truth than torch's own, but for luck.
    for dtype, contexts, least in (
        (torch.float32, [], 1e-4),
        (torch.float32, [lambda: torch.autocast("cpu", torch.bfloat16)], 0.03),
        (torch.bfloat16, [], 0.03),
    ):
        found = both(operation, [each.to(dtype) for each in inputs], *contexts)
        if found is not None:
            plain, ours = (error_of(each, whole[0]) for each in found)
            assert all(o <= 2 * p + least for o, p in zip(ours, plain, strict=True)), (dtype, ours, plain)


@pytest.mark.parametrize("name", CASES)
def test_in_any_layout_and_precision(name):
    operation, shapes = CASES[name]
    for batch in BATCHES:
        inputs = made(shapes, batch)
        check_layouts(operation, inputs)
        check_precisions(operation, inputs)


@pytest.mark.parametrize("name", WITHOUT_BATCH)
def test_without_a_batch(name):
    operation, shapes = WITHOUT_BATCH[name]
    inputs = made(shapes, None)
    check_layouts(operation, inputs)
    check_precisions(operation, inputs)


@pytest.mark.parametrize("name", ["relu", "relu6"])
def test_where_it_bends_and_beyond_numbers(name):
    values = torch.tensor([-0.0, 0.0, 1.0, 6.0, float("nan"), float("inf"), -float("inf")], dtype=torch.float64)
    operation = getattr(functional, name)
    plain, ours = (
        derivatives(lambda x: operation(x), [values], context)
        for context in (double_backward(fast=False), double_backward())
    )
    torch.testing.assert_close(ours, plain, equal_nan=True)


class Counted(TorchDispatchMode):
    """How many kernels run."""

    def __init__(self):
        super().__init__()
        self.kernels = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.kernels += 1
        return func(*args, **(kwargs or {}))


def test_tokens_cost_the_same_in_any_shape():
    def kernels(*shape):
        values = tensor(*shape).requires_grad_()
        with double_backward(), Counted() as counted:
            (gradient,) = torch.autograd.grad(functional.gelu(values).sum(), values, create_graph=True)
            gradient.square().sum().backward()
        return counted.kernels

    assert kernels(4096, 8) == kernels(2, 2048, 8) == kernels(32768)


def test_the_textbook_is_torch_alone():
    values = tensor(2, 4, 4).requires_grad_()
    operations = (functional.relu, functional.gelu, lambda x: functional.layer_norm(x, (4,)), of_itself)
    for operation in operations:
        with double_backward(fast=False):
            plain = operation(values)
        with double_backward():
            ours = operation(values)
        history, seen = [plain.grad_fn], set()
        while history:
            node = history.pop()
            if node is not None and node not in seen:
                seen.add(node)
                history += [before for before, _ in node.next_functions]
        assert not any(isinstance(node, torch.autograd.function.BackwardCFunction) for node in seen)
        torch.testing.assert_close(ours, plain)
