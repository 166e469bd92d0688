"""One poll serves every waiter; knows no HTTP."""
