"""What someone who holds the model can still find: membership, sensitivities, relearning."""
