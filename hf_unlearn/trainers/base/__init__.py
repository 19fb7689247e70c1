"""The trainer that every method builds on, its config, checkpoints, sampling and publishing."""
