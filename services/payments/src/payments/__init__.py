"""Charges and refunds each order once, through the payment gateway."""
