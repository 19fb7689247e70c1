"""The unlearning methods, a file each: config, trainer and paper."""
