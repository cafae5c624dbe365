"""What is wrong now, and how things stand: read from the database alone, whoever asks."""
