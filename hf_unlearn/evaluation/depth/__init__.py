"""What accuracy cannot see: whether what was forgotten is still in the features, behind the logit, a few steps away."""
