"""The cost ledger's rows: funds, contracts, entries, sums, requests, and the chain read back."""
