"""Operations whose gradient can be differentiated again, cheaply: what a forward pass uses inside [`double_backward`].

Autograd's own double backward is right, but does work that comes to nothing: through the kinks of piecewise-linear
operations it sends gradients of zero back through the whole forward pass (two of the nine forward passes that such a
step then costs), it takes a convolution's weight gradient by a convolution whose kernel is as large as the image, and
it goes over an attention's weights a dozen times. The operations here give the same values and the same derivatives,
up to rounding.
"""

from hf_unlearn.objectives.second_order.context import double_backward, single_backward
from hf_unlearn.objectives.second_order.inner import input_gradients
from hf_unlearn.objectives.second_order.zero import zero_of

__all__ = ["double_backward", "input_gradients", "single_backward", "zero_of"]
