"""Takes orders, prices them and follows each to CONFIRMED or CANCELLED."""
