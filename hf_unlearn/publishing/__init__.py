"""What a person is given beside the weights: the record of how they came about."""
