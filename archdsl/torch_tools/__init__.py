"""The emitted module brought to life in torch: built, compared and exported."""
