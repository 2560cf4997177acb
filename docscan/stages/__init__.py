"""The stages of reading a page: pure functions, records in, records out."""
