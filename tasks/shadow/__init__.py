"""Champion and challenger on the same fresh traffic."""
