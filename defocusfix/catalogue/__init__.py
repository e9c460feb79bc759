"""Which weights exist, which are here, and who may use them; never loads a byte unverified."""
