"""Tells the customer by e-mail what became of the order."""
