"""What a page shows first: its verdict, examples by how much was gained, the settings that are its own."""
