"""The console: what became of an order, in a browser or a terminal."""
