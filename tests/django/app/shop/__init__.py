"""A small shop: the real application behind Copal in the end-to-end tests."""
