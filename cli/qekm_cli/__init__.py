"""The operator's hand: the command `qekm`, a gRPC client like any other. A noun a file, a verb a function."""
