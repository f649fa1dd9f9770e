"""The command line, and what spans several layers: the local stack, the demo, maintenance and verification."""
