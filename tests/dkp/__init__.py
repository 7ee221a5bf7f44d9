"""Tests of qekm.dkp, the drive key protocol's codec."""
