"""Starts the whole system as processes and sends real orders through it."""
