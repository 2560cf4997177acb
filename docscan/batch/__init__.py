"""Many pages, no pixels."""
