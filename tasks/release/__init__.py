"""What serves: parts pinned, packed and digested; loaded, scored and verified."""
