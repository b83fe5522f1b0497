"""The four YAML contracts of a surface: models, strict loading, cross-checks, digests."""
