"""What a backbone that is pre-trained from scratch learns to imitate beside its own objective."""
