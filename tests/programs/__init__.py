"""Random structured programs: grown legal, judged against torch, and reduced where they fail."""
