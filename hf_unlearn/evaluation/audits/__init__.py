"""Tests of many models: what unlearned models answer to a sample, held against what retrained models answer to it."""
