"""Speech recognition against the engines a user could pick: from file to text, and its parts."""
