"""SQL as trees: expressions, templates and what each dialect makes of them."""
