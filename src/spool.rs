//! Downloaded archives on the local disk, by content, synced before the ledger hears of them.
