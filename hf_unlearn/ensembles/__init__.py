"""Many models of one recipe: made in several processes, kept, and audited together."""
