"""Tests of the simulated library."""
