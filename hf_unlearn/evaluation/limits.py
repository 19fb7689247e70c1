"""How much an evaluation looks at; this imports nothing, so the command's help knows it, too."""

LEVELS = ("fast", "standard")
MOST_REFERENCES = 4
