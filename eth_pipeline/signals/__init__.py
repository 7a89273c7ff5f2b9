"""From bars and forecast to the state and action of one hour."""
