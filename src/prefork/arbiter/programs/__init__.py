"""What only ``prefork exec`` needs."""
