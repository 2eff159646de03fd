"""Files in, files out: joins media and codec. What the command line calls, and what `nvc.encode` and its like are."""
