"""How well a model forgot: figures on the forget, retain and test set, and against a retrained model."""
