"""The features themselves, a module per subject: one expression over the hourly panel, a name, a unit, a sentence."""
