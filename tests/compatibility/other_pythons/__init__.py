"""Exports that other Pythons made, tiny and kept here, and the script that makes them."""
