"""Requests over time: a chained file of what was asked and done, and the queue that is read from it.

It holds which samples were asked to be forgotten, so it lies beside the models that come of it and is never published.
"""
