"""The cost ledger's stories, one file each: money in, contracts, entries, closing, tables in and out, figures."""
