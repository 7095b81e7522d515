"""A picture as data: marks, colours and letters, and the formats that it is written in."""
