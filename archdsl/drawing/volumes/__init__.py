"""The style of volumes: boxes in cabinet projection, as high, deep and wide as the volumes are."""
