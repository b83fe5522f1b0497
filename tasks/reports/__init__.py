"""What the pages that people open share: templates, one style sheet, number formats, figures, words."""
