"""What events, messages and replies are made of, in words of the field."""
