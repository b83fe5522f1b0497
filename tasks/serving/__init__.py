"""The models-from-code pyfunc and its scoring; runs without this repository."""
