"""What a model eats: pixels, the order of samples, batches that are the same in every layout of processes."""
