"""The graphs: small modules, one file a family."""
