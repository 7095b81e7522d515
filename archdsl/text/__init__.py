"""The text of a spec: its places, its tree, what is wrong with it, and fixes."""
