"""How the files of a feed become batches: their form, normalization, records, events, the seal, receipts."""
