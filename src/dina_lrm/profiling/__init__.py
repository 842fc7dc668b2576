"""What scoring, training and aligning cost: counted on shapes alone, or measured on this machine."""
