"""A tape library that speaks the drive key protocol: drives, cartridges, key managers to choose from."""
