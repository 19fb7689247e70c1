"""The figures for a reader: rows, table, plots, page."""
