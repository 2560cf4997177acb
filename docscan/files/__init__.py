"""Disk and formats: records in, bytes out, or the reverse."""
