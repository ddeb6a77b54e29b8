"""How predictions become durable: batches, bulk insert, the spool, and the durable writer that uses them."""
