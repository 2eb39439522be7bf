"""What every service needs at run time and none is about."""
