"""Tests that are alike for every service: each subclasses a suite and gives it its own names and objects."""
