"""Gone: the trainer settles by itself what depends on the request."""

raise ImportError(
    "request_settings is gone: give the trainer the splits, as in MUMisTrainer(model, args, splits=splits), and it "
    "settles what depends on the request and was not set"
)
