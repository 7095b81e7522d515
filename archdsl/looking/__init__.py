"""What a trained network makes of an image: its maps, its filters, what its answer depends on."""
