"""The commands of `loginlake`, one module each."""
