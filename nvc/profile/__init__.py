"""Where the time of a session goes, and how far each kernel is from what the machine could do."""
