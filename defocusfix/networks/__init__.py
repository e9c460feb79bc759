"""Networks: one readable file per architecture; torch and nothing of ours but the spec."""
