"""Shared tools for pages: templates, one style sheet, number formats, charts, phrases."""
