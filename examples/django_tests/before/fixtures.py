"""What the tests use: a database that somebody has to start first."""
