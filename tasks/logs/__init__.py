"""What arrives: log tables found, checked, summarised and read where they lie."""
