"""What is checked before a run, while it runs, and after it."""
