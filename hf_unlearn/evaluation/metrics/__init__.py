"""What a model's answers amount to: pure functions of arrays."""
