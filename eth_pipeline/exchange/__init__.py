"""The way in: archive for history, REST for the tail, one HTTP door (`transport`)."""
