"""Photos in files: what goes where, and the work itself. One photo is a plan of one item."""
