"""What `qekm-server` does while no service runs, a verb a module; argparse in, an exit code out."""
