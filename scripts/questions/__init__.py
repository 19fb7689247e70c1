"""Ten questions about the method, each answered by a measurement: scripts/study_questions.py runs them.

A question is a module with a `QUESTION`: its cells (what is measured, one after the other), what one of them gives, and
the table and the figure of all rows. docs/questions.md shows them.
"""
