"""What Aftertone keeps under MODEL_DIR: typed records in files that a person can read."""
