"""What was generated or uploaded, as bytes: fetched with care, kept, handed out."""
