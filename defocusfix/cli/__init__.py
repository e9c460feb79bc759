"""The command line: parse, call, tell. No pixels and no decisions."""
