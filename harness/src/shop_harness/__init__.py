"""Runs the whole shop, speaks to it as its customers do, reads its ledgers, and judges it by the saga's rules."""
