"""The paper account: fills, funding, stops, and the ledger they are written to."""
