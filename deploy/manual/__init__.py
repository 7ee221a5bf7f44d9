"""Manual pages, made from the command trees and the table of properties: `python -m deploy.manual DIR`."""
