"""What it takes to train a rater."""
