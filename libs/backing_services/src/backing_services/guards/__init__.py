"""What a test may not do, and what it may not leave behind."""
