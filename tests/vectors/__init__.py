"""Published sessions and the checks that they are right."""
