"""The HTTP side: Label Studio's five calls, answered from the store at once."""
