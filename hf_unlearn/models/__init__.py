"""Image classifiers and their image processors: by name, from scratch, and the pixels they eat."""
