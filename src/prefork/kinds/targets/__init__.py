"""What users write: finding it, detecting its kind, refusing what could not be served."""
