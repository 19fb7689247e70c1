"""How well a model forgot: figures on the forget, retain and test set, and against a retrained model.

The metrics stand in `__init__.pyi`, beside where each lives; each is imported when it is first used. A model is judged
as a whole by [`hf_unlearn.compare`].
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
