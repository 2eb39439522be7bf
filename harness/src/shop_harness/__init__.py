"""Runs the whole shop, and reads its ledgers."""
