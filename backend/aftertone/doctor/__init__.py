"""What can be wrong with a project or this machine, why that matters and how to cure it: one place for all of it."""
