"""Who may be used, for what, from when."""
