"""The commands of `hf-unlearn`, one module each."""
