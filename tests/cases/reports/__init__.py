"""What users of other systems have met, tried here."""
