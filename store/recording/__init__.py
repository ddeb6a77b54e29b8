"""How predictions become durable: batches, bulk insert, the spool, the durable writer above them."""
