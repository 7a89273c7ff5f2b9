"""What became of an hour: direction and cost-aware outcome, each with its label end."""
