"""A round's model as a folder for its users, who need nothing of ours to judge clips with it."""
