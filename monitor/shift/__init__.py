"""Is a window of production like the rows it is compared with? One verdict, what carries it, and its cause."""
