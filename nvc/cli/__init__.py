"""The `nvc` command: one file for each sub-command, no codec logic. Heavy imports happen inside the sub-commands."""
