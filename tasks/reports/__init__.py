"""The one look of every page that people open."""
