"""What voting recovers: maj@k of both arms, and candidate votes against reference votes at equal cost."""
