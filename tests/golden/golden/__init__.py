"""Builders of the golden model files; make_golden.py is the entry point."""
