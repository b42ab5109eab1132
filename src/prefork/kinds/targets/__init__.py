"""What users write: finding it, telling its kind, refusing what could not be served."""
