"""Make an image classifier on the Hugging Face Hub forget: MU-Mis (arXiv 2402.15109) as a `transformers.Trainer`.

The public names stand in `__init__.pyi`, beside where each lives; each is imported when it is first used.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
